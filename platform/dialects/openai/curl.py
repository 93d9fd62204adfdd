"""Render a job as a curl command with a JSON body, which names the stored input images by URL."""

from __future__ import annotations

from jobs.curl_export import EXAMPLE_PROMPT, Context, Example, command
from jobs.images.signed_urls import input_url

CREDENTIALS = '-H "Authorization: Bearer $KEY_ID:$SECRET"'
STORED_WITH_IT = "warnings"  # not a field of the request
EXAMPLE = Example("generations", {"prompt": EXAMPLE_PROMPT, "response_format": "url"})


def curl(context: Context) -> str:
    request, received = context.request, context.job.received
    body = {name: value for name, value in received.items() if name != STORED_WITH_IT}
    urls = [input_url(image.sha256, context.base_url) for image in request.init_images or request.images]
    if urls:
        body["image"] = urls[0] if len(urls) == 1 else urls
    if request.inpaint:
        body["mask"] = input_url(request.inpaint.mask.sha256, context.base_url)
    body["seed"] = request.seed
    return command(f"{context.base_url}/v1/images/{context.job.operation}", CREDENTIALS, body=body)
