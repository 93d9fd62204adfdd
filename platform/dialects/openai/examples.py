"""Example calls of this dialect: of a job, and of a generation request. Input images are named by URL."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey
from gpu_runner.protocol import GenerationRequest
from jobs.admission.submission import Submission
from jobs.api_reference.examples.call import Call, Form, Result, Scheme
from jobs.api_reference.expressions import NotExpressible, one_weight, refused_by, without_tags
from jobs.api_reference.job_calls import JobContext
from jobs.api_reference.reference import Context

from .errors import APIError
from .request.fields import EditFields, GenerationFields
from .request.submission import EDITS, GENERATIONS, STRENGTHS, read_submission

STORED_WITH_IT = "warnings"  # not a field of the request
IMAGE = Result(Form.BASE64, ("data", 0, "b64_json"))


def call(
    context: Context | JobContext, operation: str, body: dict[str, Any], result: Result | None = IMAGE
) -> Call:
    path = f"/v1/images/{operation}"
    return Call(context.base_url, context.key_id, path, body, Scheme.BEARER, result)


def repeat(context: JobContext) -> Call:
    """The call that repeats the request of a job."""
    request, received = context.request, context.job.received
    body = {name: value for name, value in received.items() if name != STORED_WITH_IT}
    urls = [context.image_url(image) for image in request.init_images or request.images]
    if urls:
        body["image"] = urls[0] if len(urls) == 1 else urls
    if request.inpaint:
        body["mask"] = context.image_url(request.inpaint.mask)
    body["seed"] = request.seed
    return call(context, context.job.operation, body, None)


def express(request: GenerationRequest, context: Context) -> Call:
    """The call of a generation request. Raises NotExpressible."""
    if request.task not in ("txt2img", "img2img"):
        raise NotExpressible(_("This API has no task %(task)s.") % {"task": request.task})
    body: dict[str, Any] = {
        "model": request.checkpoint,
        "prompt": without_tags(request.prompt),
        "negative_prompt": without_tags(request.negative_prompt),
        "size": f"{request.width}x{request.height}",
        "n": request.num_images,
        "seed": request.seed,
        "steps": request.num_inference_steps,
        "guidance_scale": request.guidance_scale,
        "sampler": request.sampler,
        "scheduler": request.scheduler,
        "clip_skip": request.clip_skip,
        "output_format": request.output_format,
        "response_format": "b64_json",
    }
    if request.loras:
        body["loras"] = [{"name": lora.name, "weight": one_weight(lora)} for lora in request.loras]
    if request.cut_out:
        body["background"] = "transparent"
    if not request.init_images:
        return call(context, GENERATIONS, body)
    body["image"] = context.url_of(request.init_images[0])
    if request.strength == STRENGTHS["high"]:
        body["input_fidelity"] = "high"
    return call(context, EDITS, body)  # without its mask: here, a mask is an alpha channel


def read(key: AccessKey, call: Call) -> Submission:
    """What a call would submit. Raises NotExpressible."""
    operation = call.path.rpartition("/")[2]
    fields = EditFields if operation == EDITS else GenerationFields
    with refused_by(APIError):
        return read_submission(key, operation, fields.model_validate(call.body), {}, call.base_url)
