"""A job as A1111's clients would ask for it. What the webui's API has no word for is not said."""

from __future__ import annotations

from typing import Any

from gpu_runner.protocol import GenerationRequest, Hires, Inpaint
from jobs.curl_export import Asked, Base64, command, loras_in_the_prompt, refuse_all_but, restores_faces

from .request.img2img import CONTENTS, RESIZE_MODES

CREDENTIALS = '-u "$KEY_ID:$SECRET"'
SAME_NAMES = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "seed": "seed",
    "subseed": "subseed",
    "subseed_strength": "subseed_strength",
    "seed_resize_from_width": "seed_resize_from_w",
    "seed_resize_from_height": "seed_resize_from_h",
    "sampler": "sampler_name",
    "scheduler": "scheduler",
    "num_inference_steps": "steps",
    "guidance_scale": "cfg_scale",
    "width": "width",
    "height": "height",
    "tiling": "tiling",
    "eta": "eta",
    "s_churn": "s_churn",
    "s_tmin": "s_tmin",
    "s_tmax": "s_tmax",
    "s_noise": "s_noise",
    "s_min_uncond": "s_min_uncond",
}
# What its clients leave open is another thing than what a request leaves open.
ALWAYS = {"prompt", "seed", "subseed", "sampler", "num_inference_steps", "guidance_scale", "width", "height"}
OPTIONS = {
    "checkpoint": "sd_model_checkpoint",
    "vae": "sd_vae",
    "clip_skip": "CLIP_stop_at_last_layers",
    "emphasis": "emphasis",
    "comma_backtrack": "comma_padding_backtrack",
    "discard_penultimate": "always_discard_next_to_last_sigma",
    "sgm_noise_multiplier": "sgm_noise_multiplier",
    "eta_noise_seed_delta": "eta_noise_seed_delta",
}
ELSEWHERE = {"task", "num_images", "batch_size", "refiner", "hires", "loras", "face_restoration"}
IMG2IMG = {"init_images", "strength", "resize_mode", "inpaint", "initial_noise_multiplier"}
UNASKED = GenerationRequest()


def curl(asked: Asked) -> str:
    request = asked.request
    refuse_all_but(request, *SAME_NAMES, *OPTIONS, *ELSEWHERE, *IMG2IMG, tasks=("txt2img", "img2img"))
    loras_in_the_prompt(request)
    body = {
        theirs: getattr(request, ours)
        for ours, theirs in SAME_NAMES.items()
        if ours in ALWAYS or getattr(request, ours) != getattr(UNASKED, ours)
    }
    body |= {"batch_size": request.batch_size, "n_iter": -(-request.num_images // request.batch_size)}
    if request.refiner:
        body |= {
            "refiner_checkpoint": request.refiner.checkpoint,
            "refiner_switch_at": request.refiner.switch_at,
        }
    body |= _second_pass(request.hires) if request.hires else {}
    body |= _from_a_picture(asked) if request.task == "img2img" else {}
    body |= {"restore_faces": True} if restores_faces(request) else {}
    body["override_settings"] = _options(request)
    return command(f"{asked.base}/sdapi/v1/{request.task}", CREDENTIALS, body=body)


def _options(request: GenerationRequest) -> dict[str, Any]:
    options = {
        theirs: getattr(request, ours)
        for ours, theirs in OPTIONS.items()
        if getattr(request, ours) != getattr(UNASKED, ours)
    }
    if request.face_restoration:
        options["face_restoration_model"] = request.face_restoration.model
    return options


def _second_pass(hires: Hires) -> dict[str, Any]:
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
        "hr_sampler_name": hires.sampler or None,
        "hr_scheduler": hires.scheduler or None,
        "hr_checkpoint_name": hires.checkpoint or None,
        "hr_prompt": hires.prompt,
        "hr_negative_prompt": hires.negative_prompt,
    }


def _from_a_picture(asked: Asked) -> dict[str, Any]:
    request = asked.request
    shown = request.init_images[: request.batch_size]
    return {
        "init_images": [Base64.of(picture.sha256, asked) for picture in shown],
        "denoising_strength": request.strength,
        "resize_mode": RESIZE_MODES.index(request.resize_mode),
        "initial_noise_multiplier": request.initial_noise_multiplier,
        **(_mask(request.inpaint, asked) if request.inpaint else {}),
    }


def _mask(inpaint: Inpaint, asked: Asked) -> dict[str, Any]:
    return {
        "mask": Base64.of(inpaint.mask.sha256, asked),
        "inpainting_mask_invert": int(inpaint.invert),
        "mask_blur_x": int(inpaint.blur_x),
        "mask_blur_y": int(inpaint.blur_y),
        "mask_round": inpaint.rounded,
        "inpainting_fill": CONTENTS.index(inpaint.content),
        "inpaint_full_res": inpaint.only_masked,
        "inpaint_full_res_padding": inpaint.padding,
    }
