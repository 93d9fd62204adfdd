"""A job as a request of version 3, whose pictures are URLs."""

from __future__ import annotations

from typing import Any

from gpu_runner.protocol import GenerationRequest, Inpaint
from jobs.curl_export import (
    Asked,
    command,
    no_words,
    refuse_all_but,
    restores_faces,
    sampler_and_scheduler,
    within,
)
from jobs.images.signed_urls import input_url

from .request.fields import LARGEST, MOST_SAMPLES, SMALLEST

CREDENTIALS = '-H "Authorization: Bearer $KEY_ID:$SECRET"'
WORDS = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "checkpoint": "model_id",
    "vae": "vae",
    "clip_skip": "clip_skip",
    "tiling": "panorama",
    "guidance_scale": "guidance_scale",
    "num_images": "samples",
    "num_inference_steps": "num_inference_steps",
    "seed": "seed",
    "width": "width",
    "height": "height",
}
ELSEWHERE = (
    "batch_size",
    "sampler",
    "scheduler",
    "loras",
    "init_images",
    "strength",
    "inpaint",
    "face_restoration",
)


def curl(asked: Asked) -> str:
    request = asked.request
    refuse_all_but(request, *WORDS, *ELSEWHERE, tasks=("txt2img", "img2img"))
    _within_bounds(request)
    body = {theirs: getattr(request, ours) for ours, theirs in WORDS.items()}
    body |= {"scheduler": sampler_and_scheduler(request), "enhance_prompt": False}
    body |= {"face_enhance": True} if restores_faces(request) else {}
    if request.loras:
        body |= {
            "lora_model": ",".join(lora.name for lora in request.loras),
            "lora_strength": ",".join(f"{lora.unet:g}" for lora in request.loras),
        }
    path = "v3/text2img"
    if request.task == "img2img":
        path = "v3/inpaint" if request.inpaint else "v3/img2img"
        body |= _from_pictures(asked)
    return command(f"{asked.base}/api/{path}", CREDENTIALS, body=body)


def _within_bounds(request: GenerationRequest) -> None:
    within(SMALLEST, LARGEST, width=request.width, height=request.height)
    within(1, MOST_SAMPLES, num_images=request.num_images)
    within(request.num_images, request.num_images, batch_size=request.batch_size)
    within(1, 20, guidance_scale=request.guidance_scale)
    within(1, 8, clip_skip=request.clip_skip)
    for lora in request.loras:
        within(0.1, 1, loras=lora.unet)
        if lora.unet != lora.text_encoder or "," in lora.name:
            raise no_words("loras")


def _from_pictures(asked: Asked) -> dict[str, Any]:
    request = asked.request
    if len(request.init_images) > 1:
        raise no_words("init_images")
    body: dict[str, Any] = {
        "init_image": input_url(request.init_images[0].sha256, asked.base),
        "strength": request.strength,
    }
    if request.inpaint:
        if request.inpaint != Inpaint(mask=request.inpaint.mask):
            raise no_words("inpaint")
        body["mask_image"] = input_url(request.inpaint.mask.sha256, asked.base)
    return body
