"""Example calls of this dialect: of a job, and of a generation request."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey
from gpu_runner.protocol import GenerationRequest
from jobs.admission.submission import Submission
from jobs.api_reference.examples.call import Call, Form, Result, Scheme
from jobs.api_reference.expressions import NotExpressible, refused_by, without_tags
from jobs.api_reference.job_calls import JobContext
from jobs.api_reference.reference import Context
from jobs.models import Lane
from models_registry.models import StylePreset

from .actions import OPERATIONS
from .envelope import FLAT
from .errors import ServiceError
from .request.json_body import Body
from .request.submission import read_submission

ACTION = "CVProcess"
IMAGE = Result(Form.BASE64, ("data", "binary_data_base64", 0))


def call(context: Context | JobContext, body: dict[str, Any], result: Result | None = IMAGE) -> Call:
    path = f"/?Action={ACTION}&Version={FLAT}"
    return Call(context.base_url, context.key_id, path, body, Scheme.SIGNED, result)


def repeat(context: JobContext) -> Call:
    """The call that repeats the request of a job."""
    job, request = context.job, context.request
    body = {name: value for name, value in job.received.items() if name not in ("picture", "mask")}
    body.setdefault("req_key", _style_of(job.operation))
    body["seed"] = request.seed
    images = [*request.init_images]
    if request.change_background and request.change_background.mask:
        images.append(request.change_background.mask)
    if images:
        body["image_urls"] = [context.image_url(image) for image in images]
    return call(context, body, None)


def _style_of(action: str) -> str:
    """Style of an action that supports only one."""
    known = (operation.req_key for (_version, name), operation in OPERATIONS.items() if name == action)
    return next(known, "")


def express(request: GenerationRequest, context: Context) -> Call:
    """The call of a generation request, with the style preset that is nearest to it. Raises NotExpressible."""
    preset = _nearest(request, context)
    if preset is None:
        raise NotExpressible(_("No style preset has the task %(task)s.") % {"task": request.task})
    body: dict[str, Any] = {"req_key": preset.key}
    if preset.variant:
        body["sub_req_key"] = preset.variant
    body |= {
        "prompt": without_tags(request.prompt),
        "u_prompt": without_tags(request.negative_prompt),
        "seed": request.seed,
        "scale": request.guidance_scale,
        "ddim_steps": request.num_inference_steps,
        "clip_skip": request.clip_skip,
    }
    names = {lora.lora.name: lora.name for lora in preset.loras.select_related("lora")}
    if used := {names[lora.name]: lora for lora in request.loras if lora.name in names}:
        body["lora_map"] = {
            name: {"strength_model": lora.unet, "strength_clip": lora.text_encoder}
            for name, lora in used.items()
        }
    if request.task == "txt2img":
        return call(context, body | {"width": request.width, "height": request.height})
    images = {"image_urls": [context.url_of(request.init_images[0])], "strength": request.strength}
    return call(context, body | images | {"long_resolution": max(request.width, request.height)})


def _nearest(request: GenerationRequest, context: Context) -> StylePreset | None:
    """The preset of this task whose models and sampler are most like those of the request."""
    presets = StylePreset.objects.usable().offered_to(context.source).filter(task=request.task)

    def likeness(preset: StylePreset) -> tuple[bool, ...]:
        checkpoint = preset.checkpoint.name if preset.checkpoint else ""
        return (
            checkpoint == request.checkpoint,
            not (preset.prompt or preset.negative_prompt),
            not preset.control_module,
            preset.sampler == request.sampler,
            preset.scheduler == request.scheduler,
        )

    ordered = presets.select_related("checkpoint").order_by("key", "variant")
    return max(ordered, key=likeness, default=None)


def read(key: AccessKey, call: Call) -> Submission:
    """What a call would submit. Raises NotExpressible."""
    with refused_by(ServiceError):
        body = Body(call.body)
        return read_submission(
            key, ACTION, body, lane=Lane.INTERACTIVE, external_id="", base_url=call.base_url
        )
