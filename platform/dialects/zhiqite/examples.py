"""Example calls of this dialect: of a job, and of a generation request. They have no callback."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.request_parts.control import ControlUnit
from jobs.admission.submission import Submission
from jobs.api_reference.examples.call import Call, Form, Result, Scheme, Wait
from jobs.api_reference.expressions import (
    NotExpressible,
    refused_by,
    sampler_with_scheduler,
    with_tags,
    without_tags,
)
from jobs.api_reference.job_calls import JobContext
from jobs.api_reference.reference import Context
from jobs.models import Backend

from .authentication import KEY_ID, SECRET
from .errors import WireError
from .request.common import CONTENTS, RESIZE_MODES
from .request.fields_v2 import CONTROL_MODES, UNIT_RESIZE_MODES, GenerationV2
from .request.submission_v2 import CONTROL, IMAGE, TEXT, read_submission
from .request.submission_v3 import BO, BODIES
from .request.tools.base import TOOL
from .request.tools.catalog import TOOLS
from .response.task_status import QUEUED, RUNNING

ROOT = "/AIGCImgOpenServ/saas"
CALLBACK = "callbackUrl"
UNIT_CHOICES = {"resize_mode": UNIT_RESIZE_MODES, "control_mode": CONTROL_MODES}
TASK_ID = "example-1"
FIRST_IMAGE = Result(Form.URL, ("data", "differentialImageRspList", 0, "image_url"))
POLL = Wait(
    ("data", "status"),
    (str(QUEUED), str(RUNNING)),
    f"{ROOT}/sd/v2/queryTaskInfo",
    {"businessTaskId": TASK_ID},
    starts_with_query=True,
)


def call(context: Context | JobContext, path: str, body: dict[str, Any], *, waits: bool = True) -> Call:
    """A call that submits a task, and waits for the one of the id TASK_ID."""
    names = (KEY_ID, SECRET)
    submitted = Call(
        context.base_url, context.key_id, f"{ROOT}/{path}", body, Scheme.HEADERS, header_names=names
    )
    return replace(submitted, result=FIRST_IMAGE, wait=POLL) if waits else submitted


def repeat(context: JobContext) -> Call:
    """The call that repeats the request of a job with a new task id."""
    job = context.job
    body = {name: value for name, value in job.received.items() if name != CALLBACK}
    new_id = f"again-{job.pk}"
    if job.backend == Backend.TRAINING:
        path, has_seed = job.operation, True
        body |= {"taskId": new_id, "triggerWords": body.get("triggerWords", job.external_id)}
    elif job.operation.startswith(TOOL):
        # A workflow template may have no place for a seed; then the request has none.
        known_seed = "seed" in body or context.request.seed != 0
        path, has_seed = job.operation, TOOLS[job.operation.removeprefix(TOOL)].has_seed and known_seed
        body["businessTaskId"] = new_id
    elif job.operation in BODIES:
        path, has_seed = f"sd/{job.operation}", True
        body[BO] = body[BO] | {"businessTaskId": new_id}
        body["subSeed"] = context.request.subseed
    else:
        path, has_seed = f"sd/{job.operation}", True
        body["alwayson_scripts"] = _scripts(body["alwayson_scripts"]) | {"id_task": new_id}
    if has_seed:
        body["seed"] = context.request.seed
    return call(context, path, body, waits=False)


def _scripts(scripts: dict[str, Any]) -> dict[str, Any]:
    if "controlnet" not in scripts:
        return scripts
    units = [_with_wire_names(unit) for unit in scripts["controlnet"].get("args", ())]
    return scripts | {"controlnet": {"args": units}}


def _with_wire_names(unit: dict[str, Any]) -> dict[str, Any]:
    """Convert canonical values of a control unit back to the names of the wire format."""
    names = {
        name: next(wire_name for wire_name, canonical in choices.items() if canonical == unit[name])
        for name, choices in UNIT_CHOICES.items()
        if name in unit
    }
    return unit | names


def express(request: GenerationRequest, context: Context) -> Call:
    """The call of a generation request. Raises NotExpressible."""
    if request.task not in ("txt2img", "img2img"):
        raise NotExpressible(_("This API has no task %(task)s.") % {"task": request.task})
    body: dict[str, Any] = {
        "prompt": with_tags(request.prompt, request.loras),
        "negative_prompt": without_tags(request.negative_prompt),
        "width": request.width,
        "height": request.height,
        "steps": request.num_inference_steps,
        "cfg_scale": request.guidance_scale,
        "sampler_index": sampler_with_scheduler(request),
        "seed": request.seed,
        "batch_size": request.batch_size,
        "n_iter": max(1, request.num_images // request.batch_size),
        **(_hires(request) if request.hires else {}),
        **(_img2img(request) if request.init_images else {}),
    }
    if request.face_restoration:
        body["restore_faces"] = True
    scripts: dict[str, Any] = {
        "sd_model_checkpoint": request.checkpoint,
        "id_task": TASK_ID,
        "output_image_format": request.output_format,
        "override_settings": _overrides(request),
    }
    if request.init_images:
        scripts["image_link"] = context.url_of(request.init_images[0])
    if request.inpaint:
        scripts["mask_link"] = context.url_of(request.inpaint.mask)
    if request.controls:
        scripts["controlnet"] = {"args": [_unit(unit, context) for unit in request.controls]}
    operation = CONTROL if request.controls else IMAGE if request.init_images else TEXT
    return call(context, f"sd/{operation}", {**body, "alwayson_scripts": scripts})


def _overrides(request: GenerationRequest) -> dict[str, Any]:
    optional = {
        "sd_vae": request.vae,
        "tiling": request.tiling,
        "img2img_color_correction": request.colour_correction,
        "img2img_fix_steps": request.exact_steps,
    }
    given = {name: value for name, value in optional.items() if value}
    return {"CLIP_stop_at_last_layers": request.clip_skip, **given}


def _hires(request: GenerationRequest) -> dict[str, Any]:
    part = request.hires
    assert part is not None
    return {
        "enable_hr": True,
        "hr_resize_x": part.width,
        "hr_resize_y": part.height,
        "hr_upscaler": part.upscaler,
        "hr_second_pass_steps": part.num_inference_steps,
        "denoising_strength": part.strength,
    }


def _img2img(request: GenerationRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "denoising_strength": request.strength,
        "resize_mode": RESIZE_MODES.index(request.resize_mode),
    }
    if request.image_guidance_scale is not None:
        body["image_cfg_scale"] = request.image_guidance_scale
    if part := request.inpaint:
        body |= {
            "mask_blur_x": part.blur_x,
            "mask_blur_y": part.blur_y,
            "inpainting_fill": CONTENTS.index(part.content),
            "inpaint_full_res": part.only_masked,
            "inpaint_full_res_padding": part.padding,
            "inpainting_mask_invert": part.invert,
        }
    return body


def _unit(unit: ControlUnit, context: Context) -> dict[str, Any]:
    fields = unit.model_dump(include={"module", "model", "weight", "guidance_start", "guidance_end"})
    fields |= {"pixel_perfect": unit.pixel_perfect}
    fields |= {name: getattr(unit, name) for name in UNIT_CHOICES}
    optional = unit.model_dump(include={"processor_res", "threshold_a", "threshold_b"}, exclude_none=True)
    image = {"image_link": context.url_of(unit.image)} if unit.image else {}
    return _with_wire_names(fields) | optional | image


def read(key: AccessKey, call: Call) -> Submission:
    """What a call of v2 would submit. Raises NotExpressible."""
    with refused_by(WireError):
        body = GenerationV2.model_validate(call.body)
        return read_submission(call.path.removeprefix(f"{ROOT}/sd/"), key, body, call.base_url)
