"""Example calls of this dialect: of a job, and of a generation request. They have no callback and no upload."""

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

from .authentication import Caller
from .errors import WireError
from .request.fields import ChangeBackgroundFields
from .request.submission import CHANGE_BACKGROUND, change_background

EXCLUDED_FIELDS = {"callback_url", "taskid", "upload_img_config"}
IMAGE = Result(Form.URL, ("data", "img"))
FIRST_IMAGE = Result(Form.URL, ("data", 0))


def call(
    context: Context | JobContext, operation: str, body: dict[str, Any], result: Result | None = IMAGE
) -> Call:
    path = f"/pictures/{operation}"
    return Call(context.base_url, context.key_id, path, body, Scheme.BEARER, result)


def repeat(context: JobContext) -> Call:
    """The call that repeats the request of a job."""
    job = context.job
    body = {name: value for name, value in job.received.items() if name not in EXCLUDED_FIELDS}
    body["from"] = job.source.name
    if job.operation == CHANGE_BACKGROUND:
        body["seed"] = context.request.seed
    return call(context, job.operation, body, None)


def express(request: GenerationRequest, context: Context) -> Call:
    """The call of a change of background. Raises NotExpressible for every other task."""
    part = request.change_background
    if part is None:
        raise NotExpressible(_("This API has no task %(task)s.") % {"task": request.task})
    body: dict[str, Any] = {
        "from": context.source.name,
        "img_url": context.url_of(request.init_images[0]),
        "prompt": without_tags(request.prompt),
        "negative_prompt": request.negative_prompt,
        "width": part.output_width or request.width,
        "height": part.output_height or request.height,
        "is_remove_bg": part.cut_out_by == "matting",
        "is_controlnet": False,
        "mast_expend_num": part.mask_expansion,
        "batch_size": request.num_images,
        "steps": request.num_inference_steps,
        "sd_model_checkpoint": request.checkpoint,
        "seed": request.seed,
    }
    if part.mask:
        body["mask_url"] = context.url_of(part.mask)
    if request.loras:
        body["sd_lora_name"] = [lora.name for lora in request.loras]
        body["sd_lora_weight"] = [one_weight(lora) for lora in request.loras]
    return call(context, CHANGE_BACKGROUND, body, FIRST_IMAGE)


def read(key: AccessKey, call: Call) -> Submission:
    """What a call of change_background would submit. Raises NotExpressible."""
    with refused_by(WireError):
        fields = ChangeBackgroundFields.model_validate(call.body)
        return change_background(Caller(key.source, key), fields, call.base_url)
