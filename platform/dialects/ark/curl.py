"""Render a job of this dialect as a curl command that repeats its request."""

from __future__ import annotations

from jobs.curl_export import CHECKPOINT, EXAMPLE_PROMPT, Context, Example, command
from jobs.images.signed_urls import input_url

CREDENTIALS = '-H "Authorization: Bearer $KEY_ID:$SECRET"'
EXAMPLE = Example("images/generations", {"model": CHECKPOINT, "prompt": EXAMPLE_PROMPT})


def curl(context: Context) -> str:
    body = context.job.received | {"seed": context.request.seed}
    images = context.request.init_images or context.request.images
    urls = [input_url(image.sha256, context.base_url) for image in images]
    if urls:
        body["image"] = urls[0] if len(urls) == 1 else urls
    return command(f"{context.base_url}/api/v3/{context.job.operation}", CREDENTIALS, body=body)
