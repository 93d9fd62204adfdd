"""A job as a request of v2, in which all that A1111 has no field for is in ``alwayson_scripts``."""

from __future__ import annotations

from typing import Any

from gpu_runner.protocol import GenerationRequest, Hires, Inpaint
from jobs.curl_export import (
    Asked,
    command,
    loras_in_the_prompt,
    no_words,
    refuse_all_but,
    restores_faces,
    sampler_and_scheduler,
    within,
)
from jobs.images.signed_urls import input_url

from .authentication import KEY_ID, SECRET
from .request.common import CONTENTS, RESIZE_MODES

CREDENTIALS = (f'-H "{KEY_ID}: $KEY_ID"', f'-H "{SECRET}: $SECRET"')
SIDES, GUIDANCE = (128, 1024), (1, 30)  # as body.py has them
WORDS = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "batch_size": "batch_size",
    "num_inference_steps": "steps",
    "seed": "seed",
    "width": "width",
    "height": "height",
    "guidance_scale": "cfg_scale",
}
OVERRIDES = {
    "clip_skip": "CLIP_stop_at_last_layers",
    "eta_noise_seed_delta": "eta_noise_seed_delta",
    "vae": "sd_vae",
    "tiling": "tiling",
}
ELSEWHERE = (
    "num_images",
    "sampler",
    "scheduler",
    "checkpoint",
    "output_format",
    "hires",
    "loras",
    "face_restoration",
)
IMAGE = ("init_images", "strength", "resize_mode", "initial_noise_multiplier", "inpaint")


def curl(asked: Asked) -> str:
    request = asked.request
    refuse_all_but(request, *WORDS, *OVERRIDES, *ELSEWHERE, *IMAGE, tasks=("txt2img", "img2img"))
    loras_in_the_prompt(request)
    if request.output_format == "webp" or request.num_images % request.batch_size:
        raise no_words("output_format" if request.output_format == "webp" else "num_images")
    within(*SIDES, width=request.width, height=request.height)
    within(*GUIDANCE, guidance_scale=request.guidance_scale)
    body = {theirs: getattr(request, ours) for ours, theirs in WORDS.items()}
    body |= {
        "n_iter": request.num_images // request.batch_size,
        "sampler_index": sampler_and_scheduler(request),
    }
    body |= {"restore_faces": True} if restores_faces(request) else {}
    body |= _second_pass(request.hires) if request.hires else {}
    body |= _from_pictures(asked) if request.task == "img2img" else {}
    body["alwayson_scripts"] = _scripts(request, asked)
    operation = "image2image" if request.task == "img2img" else "text2image"
    return command(f"{asked.base}/AIGCImgOpenServ/saas/sd/v2/{operation}", *CREDENTIALS, body=body)


def _scripts(request: GenerationRequest, asked: Asked) -> dict[str, Any]:
    """With an id of its own: the caller's names the newest of its tasks."""
    unasked = GenerationRequest()
    overrides = {
        theirs: getattr(request, ours)
        for ours, theirs in OVERRIDES.items()
        if getattr(request, ours) != getattr(unasked, ours)
    }
    return {
        "sd_model_checkpoint": request.checkpoint,
        "id_task": f"again-{asked.job.pk}",
        "output_image_format": "jpg" if request.output_format == "jpeg" else "png",
        "override_settings": overrides,
    }


def _second_pass(hires: Hires) -> dict[str, Any]:
    said = Hires(
        width=hires.width,
        height=hires.height,
        scale=hires.scale,
        upscaler=hires.upscaler,
        num_inference_steps=hires.num_inference_steps,
        strength=hires.strength,
    )
    if said != hires:
        raise no_words("hires")
    size = (
        {"hr_scale": hires.scale}
        if hires.scale is not None
        else {"hr_resize_x": hires.width, "hr_resize_y": hires.height}
    )
    return {
        "enable_hr": True,
        **size,
        "hr_upscaler": hires.upscaler,
        "hr_second_pass_steps": hires.num_inference_steps,
        "denoising_strength": hires.strength,
    }


def _from_pictures(asked: Asked) -> dict[str, Any]:
    request = asked.request
    if len(request.init_images) > 1:
        raise no_words("init_images")
    return {
        "image_link": input_url(request.init_images[0].sha256, asked.base),
        "denoising_strength": request.strength,
        "resize_mode": RESIZE_MODES.index(request.resize_mode),
        "initial_noise_multiplier": request.initial_noise_multiplier,
        **(_mask(request.inpaint, asked) if request.inpaint else {}),
    }


def _mask(inpaint: Inpaint, asked: Asked) -> dict[str, Any]:
    return {
        "mask_link": input_url(inpaint.mask.sha256, asked.base),
        "inpainting_mask_invert": inpaint.invert,
        "mask_blur_x": inpaint.blur_x,
        "mask_blur_y": inpaint.blur_y,
        "inpainting_fill": CONTENTS.index(inpaint.content),
        "inpaint_full_res": inpaint.only_masked,
        "inpaint_full_res_padding": inpaint.padding,
    }
