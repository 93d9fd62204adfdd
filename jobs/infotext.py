"""The text that A1111 writes under a picture, and that its users paste back to draw it again."""

from __future__ import annotations

import json

from gpu_runner import catalogue
from gpu_runner.protocol import GenerationRequest

from .models import Job

VERSION = "Atelier"


def infotext(job: Job, request: GenerationRequest, seed: int) -> str:
    lines = [request.prompt]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    parameters = _parameters(job, request, seed)
    lines.append(", ".join(_pair(key, value) for key, value in parameters.items() if value is not None))
    return "\n".join(lines)


def _parameters(job: Job, request: GenerationRequest, seed: int) -> dict[str, object]:
    """In A1111's order."""
    return {
        "Steps": request.num_inference_steps,
        "Sampler": request.sampler,
        "Schedule type": _schedule_type(request),
        "CFG scale": request.guidance_scale,
        "Seed": seed,
        "Size": f"{request.width}x{request.height}",
        "Model hash": job.checkpoint_sha256[:10] or None,
        "Model": job.checkpoint.name,
        "Denoising strength": request.strength if request.task == "img2img" else None,
        "Clip skip": request.clip_skip if request.clip_skip > 1 else None,
        _eta_name(request): _eta(request),
        "Version": VERSION,
    }


def _schedule_type(request: GenerationRequest) -> str:
    """The schedule walked; "Automatic" where that is only the sampler's plain one."""
    label = catalogue.effective_scheduler(request.sampler, request.scheduler)
    plain = request.scheduler == catalogue.AUTOMATIC and label == "Uniform"
    return catalogue.AUTOMATIC if plain else label


def _eta_name(request: GenerationRequest) -> str:
    return "Eta DDIM" if request.sampler == "DDIM" else "Eta"


def _eta(request: GenerationRequest) -> float | None:
    """Only where it acts, and is not what the sampler does by itself."""
    usual = catalogue.sampler(request.sampler).default_eta
    return request.eta if usual is not None and request.eta != usual else None


def _pair(key: str, value: object) -> str:
    text = str(value)
    quoted = json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",:\n") else text
    return key if key == text else f"{key}: {quoted}"
