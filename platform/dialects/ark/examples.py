"""Example calls of this dialect: of a job, and of a generation request."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey
from gpu_runner.protocol import GenerationRequest
from jobs.admission.submission import Submission
from jobs.api_reference.examples.call import Call, Form, Result, Scheme
from jobs.api_reference.expressions import NotExpressible, refused_by, with_tags
from jobs.api_reference.job_calls import JobContext
from jobs.api_reference.reference import Context

from .errors import ArkError
from .request.fields import ImageRequest
from .request.submission import OPERATION, WATERMARK, read_submission

IMAGE = Result(Form.URL, ("data", 0, "url"))


def call(context: Context | JobContext, body: dict[str, Any], result: Result | None = IMAGE) -> Call:
    return Call(context.base_url, context.key_id, f"/api/v3/{OPERATION}", body, Scheme.BEARER, result)


def repeat(context: JobContext) -> Call:
    """The call that repeats the request of a job."""
    body = context.job.received | {"seed": context.request.seed}
    images = context.request.init_images or context.request.images
    urls = [context.image_url(image) for image in images]
    if urls:
        body["image"] = urls[0] if len(urls) == 1 else urls
    return call(context, body, None)


def express(request: GenerationRequest, context: Context) -> Call:
    """The call of a generation request. Raises NotExpressible."""
    if request.task not in ("txt2img", "img2img"):
        raise NotExpressible(_("This API has no task %(task)s.") % {"task": request.task})
    size = request.hires or request
    body: dict[str, Any] = {
        "model": request.checkpoint,
        "prompt": with_tags(request.prompt, request.loras),
        "size": f"{size.width}x{size.height}",
        "seed": request.seed,
        "guidance_scale": request.guidance_scale,
        "output_format": request.output_format,
        "watermark": WATERMARK in request.labels,
    }
    if request.init_images:
        body["image"] = context.url_of(request.init_images[0])
    if request.image_guidance_scale is not None:
        body["image_guidance_scale"] = request.image_guidance_scale
    if request.num_images > 1:
        body["sequential_image_generation"] = "auto"
        body["sequential_image_generation_options"] = {"max_images": request.num_images}
    if request.cut_out:
        body["background"] = "transparent"
    return call(context, body)


def read(key: AccessKey, call: Call) -> Submission:
    """What a call would submit. Raises NotExpressible."""
    with refused_by(ArkError):
        return read_submission(key, ImageRequest.model_validate(call.body), call.base_url)
