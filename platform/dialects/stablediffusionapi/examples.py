"""Example calls of this dialect: of a job, and of a generation request. They have no webhook."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey
from gpu_runner.protocol import GenerationRequest, InputImage
from jobs.admission.submission import Submission
from jobs.api_reference.examples.call import CREDENTIALS, TASK, Call, Form, Result, Scheme, Wait
from jobs.api_reference.expressions import (
    NotExpressible,
    one_weight,
    refused_by,
    sampler_with_scheduler,
    without_tags,
)
from jobs.api_reference.job_calls import JobContext
from jobs.api_reference.reference import Context

from .endpoints import ENDPOINTS
from .errors import WireError
from .request.controlnet import TYPES
from .request.submission import read_submission

EXCLUDED_FIELDS = {"webhook", "track_id"}
IMAGE = Result(Form.URL, ("output", 0))


def call(context: Context | JobContext, operation: str, body: dict[str, Any], *, waits: bool = True) -> Call:
    path = f"/api/{operation}"
    body = {"key": CREDENTIALS, **body}
    if not waits:
        return Call(context.base_url, context.key_id, path, body, Scheme.BODY)
    fetch = f"/api/{ENDPOINTS[operation].fetch}/{TASK}"
    wait = Wait(("status",), ("processing",), fetch, {"key": CREDENTIALS}, id_at=("id",))
    return Call(context.base_url, context.key_id, path, body, Scheme.BODY, IMAGE, wait)


def repeat(context: JobContext) -> Call:
    """The call that repeats the request of a job."""
    request, received = context.request, context.job.received
    body = {name: value for name, value in received.items() if name not in EXCLUDED_FIELDS}
    images = {name: image for name, image in _images(request).items() if name in received and image}
    body |= {name: context.image_url(image) for name, image in images.items()}
    if request.training:
        body["images"] = [context.image_url(each.image) for each in request.training.images]
    if request.task != "upscale":
        body["seed"] = request.seed
    return call(context, context.job.operation, body, waits=False)


def _images(request: GenerationRequest) -> dict[str, InputImage | None]:
    """Images by field name. Without an init image, the control image is sent as ``init_image``."""
    control = request.controls[0].image if request.controls else None
    init = request.init_images[0] if request.init_images else control
    mask = request.inpaint.mask if request.inpaint else None
    if request.change_background and request.change_background.mask:
        # Outpainting keeps its canvas only: its image is repeated if it was sent as a URL.
        return {"init_image": init, "mask_image": request.change_background.mask}
    single = init if len(request.init_images) == 1 else None
    return {
        "init_image": init,
        "mask_image": mask,
        "control_image": control,
        "url": init,
        "image": single,
    }


def express(request: GenerationRequest, context: Context) -> Call:
    """The call of a generation request. Raises NotExpressible."""
    if request.task not in ("txt2img", "img2img"):
        raise NotExpressible(_("This API has no task %(task)s.") % {"task": request.task})
    size = request.hires or request
    body: dict[str, Any] = {
        "model_id": request.checkpoint,
        "prompt": without_tags(request.prompt),
        "negative_prompt": without_tags(request.negative_prompt),
        "width": size.width,
        "height": size.height,
        "samples": request.num_images,
        "num_inference_steps": request.num_inference_steps,
        "guidance_scale": request.guidance_scale,
        "scheduler": sampler_with_scheduler(request),
        "clip_skip": request.clip_skip,
        "seed": request.seed,
        "enhance_prompt": "no",
        **_images_of_request(request, context),
    }
    if request.hires:
        body["highres_fix" if request.hires.strength else "upscale"] = "yes"
        if not request.hires.strength:  # doubles the size of the request
            body |= {"width": request.width, "height": request.height}
    if request.vae:
        body["vae"] = request.vae
    if request.tiling:
        body["panorama"] = "yes"
    if request.loras:
        body["lora_model"] = [lora.name for lora in request.loras]
        body["lora_strength"] = [one_weight(lora) for lora in request.loras]
    if request.controls:
        return call(context, "v5/controlnet", body | _controls(request))
    task = "text2img" if request.task == "txt2img" else "inpaint" if request.inpaint else "img2img"
    return call(context, f"v3/{task}", body)


def _images_of_request(request: GenerationRequest, context: Context) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if request.init_images:
        fields = {"init_image": context.url_of(request.init_images[0]), "strength": request.strength}
    if request.inpaint:
        fields["mask_image"] = context.url_of(request.inpaint.mask)
    if request.controls and request.controls[0].image:
        fields["control_image"] = context.url_of(request.controls[0].image)
    return fields


def _controls(request: GenerationRequest) -> dict[str, Any]:
    kinds = {module: kind for kind, (module, _part) in reversed(TYPES.items())}
    unknown = [unit.module for unit in request.controls if unit.module not in kinds]
    if unknown:
        raise NotExpressible(_("This API has no preprocessor %(name)s.") % {"name": unknown[0]})
    return {
        "controlnet_model": [unit.model for unit in request.controls],
        "controlnet_type": [kinds[unit.module] for unit in request.controls],
        "controlnet_conditioning_scale": [unit.weight for unit in request.controls],
        "guess_mode": "yes" if request.controls[0].control_mode == "control" else "no",
    }


def read(key: AccessKey, call: Call) -> Submission:
    """What a call would submit. Raises NotExpressible."""
    body = {name: value for name, value in call.body.items() if value is not CREDENTIALS}
    with refused_by(WireError):
        return read_submission(ENDPOINTS[call.path.removeprefix("/api/")], key, body, call.base_url)
