"""``meta`` of a response: the parameters of the generation, under the names of each endpoint."""

from __future__ import annotations

from typing import Any

from dialects.stablediffusionapi.endpoints import Endpoint
from dialects.stablediffusionapi.request import schedulers
from dialects.stablediffusionapi.request.editing_fields import EDITING
from gpu_runner.protocol import GenerationRequest
from jobs.models import Job

CHECKPOINTS_VAE = "default"


def meta(job: Job, endpoint: Endpoint) -> dict[str, Any]:
    """``meta`` of a job of the endpoint."""
    if endpoint.task == "super_resolution":
        return {}
    request, received = job.generation_request, job.received
    if request.video:
        return _video(job, request)
    if endpoint.task in EDITING:
        return _editing(job, request, endpoint)
    fields = _common(job, request) | _safety_checker(received, endpoint)
    if endpoint.community:
        fields |= _community(job, request)
        fields |= _controlnet(received) if endpoint.task == "controlnet" else {}
    elif endpoint.task != "inpaint":
        fields |= _public(job, request)
    if request.init_images or endpoint.task == "controlnet":
        fields |= {"strength": request.strength if request.init_images else None}
        fields |= {name: received[name] for name in ("init_image", "mask_image") if name in received}
    return fields


def _video(job: Job, request: GenerationRequest) -> dict[str, Any]:
    """Values that only the workflow knows are null."""
    video = request.video
    return {
        **_common(job, request),
        "model_id": job.received.get("model_id"),
        "num_frames": video.frames if video else None,
        "fps": video.fps if video else None,
        "output_type": job.received.get("output_type"),
        "init_image": job.received.get("init_image"),
    }


def _common(job: Job, request: GenerationRequest) -> dict[str, Any]:
    output = request.hires or request
    return {
        "H": output.height,
        "W": output.width,
        "file_prefix": str(job.pk),
        "guidance_scale": request.guidance_scale,
        "n_samples": request.num_images,
        "negative_prompt": request.negative_prompt,
        "outdir": "out",
        "prompt": request.prompt,
        "seed": request.seed,
        "steps": request.num_inference_steps,
    }


def _editing(job: Job, request: GenerationRequest, endpoint: Endpoint) -> dict[str, Any]:
    """The parameters of image editing as received, and those of the generation if there is one."""
    fields: dict[str, Any] = {"base64": "no", "temp": "no", **job.received}
    if not request.denoises:
        return fields | {"file_prefix": str(job.pk), "outdir": "out"}
    size = request.change_background
    output = {"W": size.output_width, "H": size.output_height} if size else {}
    return fields | _common(job, request) | _safety_checker(job.received, endpoint) | output


def _safety_checker(received: dict[str, Any], endpoint: Endpoint) -> dict[str, str]:
    """Only v3/img2img spells the name with an underscore."""
    name = "safety_checker" if endpoint.path == "v3/img2img" else "safetychecker"
    return {name: _yes_or_no(received, "safety_checker")}


def _public(job: Job, request: GenerationRequest) -> dict[str, Any]:
    return {
        "enable_attention_slicing": "true",
        "model": job.checkpoint.name if job.checkpoint else None,
        "revision": "fp16",
        "vae": request.vae or CHECKPOINTS_VAE,
    }


def _community(job: Job, request: GenerationRequest) -> dict[str, Any]:
    received = job.received
    return {
        "model_id": received.get("model_id") or (job.checkpoint.name if job.checkpoint else None),
        "scheduler": received.get("scheduler") or schedulers.DEFAULT,
        "full_url": "no",
        **{
            name: _yes_or_no(received, name)
            for name in ("upscale", "multi_lingual", "panorama", "self_attention")
        },
        "embeddings": ",".join(request.embeddings) or None,
        "lora": ",".join(lora.name for lora in request.loras) or None,
        "lora_strength": ",".join(f"{lora.unet:g}" for lora in request.loras) or None,
        "vae": request.vae or None,
        "clip_skip": request.clip_skip,
    }


def _controlnet(received: dict[str, Any]) -> dict[str, Any]:
    weights = received.get("controlnet_conditioning_scale") or [1.0]
    return {
        "controlnet_model": ",".join(received.get("controlnet_model") or []),
        "controlnet_type": ",".join(received.get("controlnet_type") or []),
        "controlnet_conditioning_scale": weights[0] if len(weights) == 1 else ",".join(map(str, weights)),
        "auto_hint": "no" if received.get("auto_hint") is False else "yes",
        "guess_mode": _yes_or_no(received, "guess_mode"),
        "init_image": None,
        "mask_image": None,
        "control_image": received.get("control_image"),
    }


def _yes_or_no(received: dict[str, Any], name: str) -> str:
    return "yes" if received.get(name) else "no"
