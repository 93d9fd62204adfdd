"""A job as a request of this API: a new background behind a product, or none."""

from __future__ import annotations

from typing import Any

from gpu_runner.protocol import GenerationRequest
from gpu_runner.request import ChangeBackground
from gpu_runner.sizes import working_size
from jobs.as_curl import Asked, command, no_words, refuse_all_but
from jobs.picture_urls import input_url

from .authentication import DIALECT
from .request import CHANGE_BACKGROUND, SAMPLER, SCHEDULER

CREDENTIALS = '-u "$KEY_ID:$SECRET"'
WORDS = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "checkpoint": "sd_model_checkpoint",
    "num_images": "batch_size",
    "num_inference_steps": "steps",
    "seed": "seed",
}
FIXED = {"sampler": SAMPLER, "scheduler": SCHEDULER, "strength": 1.0, "resize_mode": "fill"}
SIZED = ("width", "height", "init_images", "batch_size")


def curl(asked: Asked) -> str:
    request, source = asked.request, asked.job.source.name
    if request.task == "cut_out" and request.cut_out is not None:
        refuse_all_but(request, "cut_out", *SIZED, tasks=("cut_out",))
        if request.cut_out.mask_only:
            raise no_words("cut_out.mask_only")
        part = request.cut_out
        body = {"img_url": _picture(asked), "model": part.matting_model, "is_mask": part.with_mask}
        return command(f"{asked.base}/pictures/rembg_img", CREDENTIALS, body={"from": source, **body})
    body = {"from": source, **_change_background(asked)}
    return command(f"{asked.base}/pictures/{CHANGE_BACKGROUND}", CREDENTIALS, body=body)


def _change_background(asked: Asked) -> dict[str, Any]:
    request = asked.request
    refuse_all_but(
        request, *WORDS, *FIXED, *SIZED, "change_background", "loras", "controls", tasks=(CHANGE_BACKGROUND,)
    )
    part = request.change_background
    assert part is not None
    _must_be_usual(request, part)
    body = {theirs: getattr(request, ours) for ours, theirs in WORDS.items()}
    body |= {
        "img_url": _picture(asked),
        "is_remove_bg": part.cut_out_by == "matting",
        "mast_expend_num": part.mask_expansion,
        "width": part.output_width,
        "height": part.output_height,
        "sd_lora_name": [lora.name for lora in request.loras],
        "sd_lora_weight": [lora.unet for lora in request.loras],
        **_control(asked),
    }
    if part.mask:
        body["mask_url"] = input_url(part.mask.sha256, asked.base)
    return body


def _must_be_usual(request: GenerationRequest, part: ChangeBackground) -> None:
    """Raises CannotSay for what this API decides by itself, and otherwise."""
    other = [name for name, value in FIXED.items() if getattr(request, name) != value]
    if request.num_images != request.batch_size:
        other.append("batch_size")
    if working_size(part.output_width, part.output_height) != (request.width, request.height):
        other.append("width")
    if any(lora.unet != lora.text_encoder for lora in request.loras):
        other.append("loras")
    if other:
        raise no_words(*other)


def _control(asked: Asked) -> dict[str, Any]:
    """A ControlNet is asked for by its name; its unit is this API's own."""
    units = asked.request.controls
    if units and asked.job.dialect != DIALECT:
        raise no_words("controls")
    return {"is_controlnet": bool(units), **({"control_model": units[0].model} if units else {})}


def _picture(asked: Asked) -> str:
    if len(asked.request.init_images) != 1:
        raise no_words("init_images")
    return input_url(asked.request.init_images[0].sha256, asked.base)
