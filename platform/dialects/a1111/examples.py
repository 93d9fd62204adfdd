"""Example calls of this dialect: of a job, and of a generation request."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.request_parts.control import ControlUnit
from jobs.admission.submission import Submission
from jobs.api_reference.examples.call import Call, Form, Result, Scheme
from jobs.api_reference.expressions import NotExpressible, refused_by, with_tags
from jobs.api_reference.job_calls import JobContext, with_images
from jobs.api_reference.reference import Context

from .controlnet.fields import CONTROL_MODES, HR_OPTIONS, RESIZE_MODES
from .errors import Unprocessable, WireError
from .request import extras, img2img, interrogate
from .request.submission import FIELDS, read_request

# force_task_id would return the existing job; the infotext is already merged into the other parameters.
OMITTED = {"force_task_id", "infotext"}
FIELDS_OF_OPERATIONS = {**FIELDS, interrogate.OPERATION: interrogate.FIELDS}
IMAGE = Result(Form.BASE64, ("images", 0))


def call(
    context: Context | JobContext, operation: str, body: dict[str, Any], result: Result | None = IMAGE
) -> Call:
    path = f"/sdapi/v1/{operation}"
    return Call(context.base_url, context.key_id, path, body, Scheme.BASIC, result)


def repeat(context: JobContext) -> Call:
    """The call that repeats the request of a job with the seeds that were used."""
    operation = context.job.operation
    parameters = context.job.received["parameters"]
    fields = FIELDS_OF_OPERATIONS.get(operation, extras.FIELDS)
    sent = {
        name: value
        for name, value in parameters.items()
        if name not in OMITTED and value != fields[name].default
    }
    body = with_images(sent, context)
    body |= _seeds(context.request) if operation in FIELDS else _images(context)
    return call(context, operation, body, None)


def _seeds(request: GenerationRequest) -> dict[str, int]:
    return {"seed": request.seed, "subseed": request.subseed}


def _images(context: JobContext) -> dict[str, Any]:
    urls = [context.image_url(image) for image in context.request.init_images]
    if context.job.operation in (extras.SINGLE, interrogate.OPERATION):
        return {"image": urls[0]}
    return {"imageList": [{"data": url, "name": f"{index}.png"} for index, url in enumerate(urls)]}


def express(request: GenerationRequest, context: Context) -> Call:
    """The call of a generation request. Raises NotExpressible."""
    if request.task not in FIELDS:
        raise NotExpressible(_("This API has no task %(task)s.") % {"task": request.task})
    body: dict[str, Any] = {
        "prompt": with_tags(request.prompt, request.loras),
        "negative_prompt": request.negative_prompt,
        "width": request.width,
        "height": request.height,
        "steps": request.num_inference_steps,
        "cfg_scale": request.guidance_scale,
        "sampler_name": request.sampler,
        "scheduler": request.scheduler,
        **_seeds(request),
        "batch_size": request.batch_size,
        "n_iter": max(1, request.num_images // request.batch_size),
        **_refiner(request),
        **(_hires(request) if request.hires else {}),
        **(_img2img(request, context) if request.task == "img2img" else {}),
    }
    optional = {
        "eta": request.eta,
        "subseed_strength": request.subseed_strength or None,
        "tiling": request.tiling or None,
        "restore_faces": True if request.face_restoration else None,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    if request.controls:
        units = [_unit(unit, context) for unit in request.controls]
        body["alwayson_scripts"] = {"controlnet": {"args": units}}
    body["override_settings"] = _settings(request)
    return call(context, request.task, body)


def _settings(request: GenerationRequest) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "sd_model_checkpoint": request.checkpoint,
        "sd_vae": request.vae or "Automatic",
        "CLIP_stop_at_last_layers": request.clip_skip,
    }
    if request.output_format != "png":
        settings["samples_format"] = request.output_format
    if request.exact_steps:
        settings["img2img_fix_steps"] = True
    if request.colour_correction:
        settings["img2img_color_correction"] = True
    if request.noise_source == "nv":
        settings["randn_source"] = "NV"
    return settings


def _refiner(request: GenerationRequest) -> dict[str, Any]:
    part = request.refiner
    return {"refiner_checkpoint": part.checkpoint, "refiner_switch_at": part.switch_at} if part else {}


def _hires(request: GenerationRequest) -> dict[str, Any]:
    part = request.hires
    assert part is not None
    scaled = [int(side * (part.scale or 0)) // 8 * 8 for side in (request.width, request.height)]
    by_scale = part.scale and scaled == [part.width, part.height]
    size = {"hr_scale": part.scale} if by_scale else {"hr_resize_x": part.width, "hr_resize_y": part.height}
    texts = {
        "hr_checkpoint_name": part.checkpoint,
        "hr_sampler_name": part.sampler,
        "hr_scheduler": part.scheduler,
        "hr_prompt": with_tags(part.prompt, part.loras or ()),
        "hr_negative_prompt": part.negative_prompt,
    }
    return {
        "enable_hr": True,
        **size,
        "hr_upscaler": part.upscaler,
        "hr_second_pass_steps": part.num_inference_steps,
        "denoising_strength": part.strength,
        **{name: text for name, text in texts.items() if text},
    }


def _img2img(request: GenerationRequest, context: Context) -> dict[str, Any]:
    body: dict[str, Any] = {
        "init_images": [context.url_of(image) for image in request.init_images],
        "denoising_strength": request.strength,
        "resize_mode": img2img.RESIZE_MODES.index(request.resize_mode),
    }
    if request.image_guidance_scale is not None:
        body["image_cfg_scale"] = request.image_guidance_scale
    if part := request.inpaint:
        body |= {
            "mask": context.url_of(part.mask),
            "mask_blur_x": part.blur_x,
            "mask_blur_y": part.blur_y,
            "mask_round": part.rounded,
            "inpainting_fill": img2img.CONTENTS.index(part.content),
            "inpaint_full_res": part.only_masked,
            "inpaint_full_res_padding": part.padding,
            "inpainting_mask_invert": int(part.invert),
        }
    return body


def _unit(unit: ControlUnit, context: Context) -> dict[str, Any]:
    optional = {
        "image": unit.image and context.url_of(unit.image),
        "mask": unit.mask and context.url_of(unit.mask),
        "effective_region_mask": unit.region and context.url_of(unit.region),
        "processor_res": unit.processor_res,
        "threshold_a": unit.threshold_a,
        "threshold_b": unit.threshold_b,
        "advanced_weighting": list(unit.layer_weights) or None,
    }
    return {
        "module": unit.module,
        "model": unit.model or "None",
        **{name: value for name, value in optional.items() if value is not None},
        "weight": unit.weight,
        "guidance_start": unit.guidance_start,
        "guidance_end": unit.guidance_end,
        "control_mode": _name(CONTROL_MODES, unit.control_mode),
        "resize_mode": _name(RESIZE_MODES, unit.resize_mode),
        "hr_option": _name(HR_OPTIONS, unit.hr_option),
        "pixel_perfect": unit.pixel_perfect,
        "save_detected_map": unit.return_map,
        "inpaint_crop_input_image": unit.crop_with_mask,
    }


def _name(choices: dict[str, str], value: str) -> str:
    return next(name for name, meant in choices.items() if meant == value)


def read(key: AccessKey, call: Call) -> Submission:
    """What a call of txt2img or img2img would submit. Raises NotExpressible."""
    operation = call.path.rpartition("/")[2]
    with refused_by(WireError):
        try:
            return read_request(operation, key, dict(call.body), call.base_url).submission
        except Unprocessable as error:
            first = error.entries[0]
            raise NotExpressible(f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}") from error
