"""Render a job of this dialect as a curl command that repeats its request, without callback and upload."""

from __future__ import annotations

from jobs.curl_export import Context, Example, command

from .request.submission import CHANGE_BACKGROUND

CREDENTIALS = '-u "$KEY_ID:$SECRET"'
EXCLUDED_FIELDS = {"callback_url", "taskid", "upload_img_config"}
EXAMPLE = Example(
    "change_background", {"img_url": "https://images.example.com/product.png", "prompt": "a wooden table"}
)


def curl(context: Context) -> str:
    job = context.job
    body = {name: value for name, value in job.received.items() if name not in EXCLUDED_FIELDS}
    body["from"] = job.source.name
    if job.operation == CHANGE_BACKGROUND:
        body["seed"] = context.request.seed
    return command(f"{context.base_url}/pictures/{job.operation}", CREDENTIALS, body=body)
