"""What an answer tells of how its pictures were drawn, under the names that each endpoint has for it."""

from __future__ import annotations

from typing import Any

from dialects.stablediffusionapi.endpoints import Endpoint
from dialects.stablediffusionapi.request import schedulers
from gpu_runner.protocol import GenerationRequest
from jobs.models import Job

OWN_VAE = "default"


def meta(job: Job, endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.task == "super_resolution":
        return {}
    request, received = job.generation_request, job.received
    told = _drawn(job, request) | _checked(received, endpoint)
    if endpoint.community:
        told |= _community(job, request)
        told |= _controlled(received) if endpoint.task == "controlnet" else {}
    elif endpoint.task != "inpaint":
        told |= _public(job, request)
    if request.init_images or endpoint.task == "controlnet":
        told |= {"strength": request.strength if request.init_images else None}
        told |= {name: received[name] for name in ("init_image", "mask_image") if name in received}
    return told


def _drawn(job: Job, request: GenerationRequest) -> dict[str, Any]:
    finished = request.hires or request
    return {
        "H": finished.height,
        "W": finished.width,
        "file_prefix": str(job.pk),
        "guidance_scale": request.guidance_scale,
        "n_samples": request.num_images,
        "negative_prompt": request.negative_prompt,
        "outdir": "out",
        "prompt": request.prompt,
        "seed": request.seed,
        "steps": request.num_inference_steps,
    }


def _checked(received: dict[str, Any], endpoint: Endpoint) -> dict[str, str]:
    """v3's img2img alone spells it with an underscore."""
    name = "safety_checker" if endpoint.path == "v3/img2img" else "safetychecker"
    return {name: _yes(received, "safety_checker")}


def _public(job: Job, request: GenerationRequest) -> dict[str, Any]:
    return {
        "enable_attention_slicing": "true",
        "model": job.checkpoint.name,
        "revision": "fp16",
        "vae": request.vae or OWN_VAE,
    }


def _community(job: Job, request: GenerationRequest) -> dict[str, Any]:
    received = job.received
    return {
        "model_id": received.get("model_id") or job.checkpoint.name,
        "scheduler": received.get("scheduler") or schedulers.DEFAULT,
        "full_url": "no",
        **{name: _yes(received, name) for name in ("upscale", "multi_lingual", "panorama", "self_attention")},
        "embeddings": ",".join(request.embeddings) or None,
        "lora": ",".join(lora.name for lora in request.loras) or None,
        "lora_strength": ",".join(f"{lora.unet:g}" for lora in request.loras) or None,
        "vae": request.vae or None,
        "clip_skip": request.clip_skip,
    }


def _controlled(received: dict[str, Any]) -> dict[str, Any]:
    weights = received.get("controlnet_conditioning_scale") or [1.0]
    return {
        "controlnet_model": ",".join(received.get("controlnet_model") or []),
        "controlnet_type": ",".join(received.get("controlnet_type") or []),
        "controlnet_conditioning_scale": weights[0] if len(weights) == 1 else ",".join(map(str, weights)),
        "auto_hint": "no" if received.get("auto_hint") is False else "yes",
        "guess_mode": _yes(received, "guess_mode"),
        "init_image": None,
        "mask_image": None,
        "control_image": received.get("control_image"),
    }


def _yes(received: dict[str, Any], name: str) -> str:
    return "yes" if received.get(name) else "no"
