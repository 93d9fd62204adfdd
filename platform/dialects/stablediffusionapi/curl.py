"""Render a job of this dialect as a curl command that repeats its request without the webhook."""

from __future__ import annotations

from gpu_runner.protocol import GenerationRequest, InputImage
from jobs.curl_export import EXAMPLE_PROMPT, Context, Example, command
from jobs.images.signed_urls import input_url

CREDENTIALS = '-H "Authorization: Bearer $KEY_ID:$SECRET"'
EXCLUDED_FIELDS = {"webhook", "track_id"}
EXAMPLE = Example("v3/text2img", {"prompt": EXAMPLE_PROMPT, "samples": "1"})


def curl(context: Context) -> str:
    request, received = context.request, context.job.received
    body = {name: value for name, value in received.items() if name not in EXCLUDED_FIELDS}
    images = {name: image for name, image in _images(request).items() if name in received and image}
    body |= {name: input_url(image.sha256, context.base_url) for name, image in images.items()}
    if request.training:
        body["images"] = [input_url(each.image.sha256, context.base_url) for each in request.training.images]
    if request.task != "upscale":
        body["seed"] = request.seed
    return command(f"{context.base_url}/api/{context.job.operation}", CREDENTIALS, body=body)


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
