"""Infotext (generation parameters) of an image, in A1111's format."""

from __future__ import annotations

import json

from gpu_runner.protocol import GenerationRequest, ModelName
from jobs.models import Job

from . import image_fields, model_fields, sampling_fields, workflow_fields
from .controlnet_fields import control_parameters
from .detail_fields import detail_parameters

VERSION = "Atelier"


def infotext(job: Job, request: GenerationRequest, index: int, regions_left_out: int = 0) -> str:
    """Infotext of the image with this 0-based index. Regions beyond the maximum of a detail pass are counted in it."""
    if not request.denoises:
        return postprocessing(request)
    lines = [request.prompt]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    parameters = _parameters(job, request, index) | workflow_fields.pairs(job.workflow, request)
    if regions_left_out:
        parameters["ADetailer regions left out"] = regions_left_out
    lines.append(", ".join(_pair(key, value) for key, value in parameters.items() if value is not None))
    return "\n".join(lines)


def postprocessing(request: GenerationRequest) -> str:
    """Infotext of an image that was only upscaled or face-restored, as A1111's extras tab writes it."""
    pairs = image_fields.upscaling(request.upscale) if request.upscale else {}
    if request.face_restoration:
        pairs |= {"GFPGAN visibility": round(request.face_restoration.visibility, 3)}
    return ", ".join(_pair(key, value) for key, value in pairs.items() if value is not None)


def extra_pairs(job: Job, request: GenerationRequest) -> dict[str, object]:
    """Fields that A1111 has in ``extra_generation_params``."""
    pairs = {
        "Denoising strength": image_fields.strength(request),
        **image_fields.pairs(request),
        **sampling_fields.sampler_pairs(request),
        **model_fields.pairs(request, job.files),
        "TI hashes": _embedding_hashes(job, request),
        "Emphasis": _emphasis(request),
        **control_parameters(job, request),
        **detail_parameters(request),
    }
    return {key: value for key, value in pairs.items() if value is not None}


def _parameters(job: Job, request: GenerationRequest, index: int) -> dict[str, object]:
    """All infotext fields, in A1111's order; None values are not written."""
    return {
        "Steps": request.num_inference_steps,
        "Sampler": request.sampler,
        "Schedule type": sampling_fields.schedule_type(request.sampler, request.scheduler),
        "CFG scale": request.guidance_scale,
        "Seed": request.seed_of(index),
        "Face restoration": request.face_restoration.model if request.face_restoration else None,
        "Size": f"{request.width}x{request.height}",
        "Model hash": job.checkpoint_sha256[:10] or None,
        "Model": job.checkpoint.name if job.checkpoint else None,
        **model_fields.vae_pairs(request, job.files),
        **sampling_fields.variation(request, index),
        "Denoising strength": image_fields.strength(request),
        "Clip skip": request.clip_skip if request.clip_skip > 1 else None,
        **sampling_fields.noise_source(request),
        "Tiling": True if request.tiling else None,
        **image_fields.pairs(request),
        **sampling_fields.sampler_pairs(request),
        **model_fields.pairs(request, job.files),
        "TI hashes": _embedding_hashes(job, request),
        "Emphasis": _emphasis(request),
        **control_parameters(job, request),
        **detail_parameters(request),
        "Version": VERSION,
    }


def _embedding_hashes(job: Job, request: GenerationRequest) -> str | None:
    files = {name: job.files[ModelName("embedding", name).key] for name in request.embeddings}
    hashes = {
        name: file["sha256"][:12] for name, file in files.items()
    }  # empty: only a ComfyUI server has it
    return ", ".join(f"{name}: {digest}" for name, digest in hashes.items() if digest) or None


def _emphasis(request: GenerationRequest) -> str | None:
    """Emphasis mode, if it is not the default and a prompt has brackets."""
    brackets = any(mark in request.prompt + request.negative_prompt for mark in "([")
    return request.emphasis if brackets and request.emphasis != "Original" else None


def _pair(key: str, value: object) -> str:
    text = str(value)
    quoted = json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",:\n") else text
    return key if key == text else f"{key}: {quoted}"
