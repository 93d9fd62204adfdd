"""Render a job of this dialect as a curl command that repeats its request with the seeds that were used."""

from __future__ import annotations

from typing import Any

from jobs.curl_export import EXAMPLE_PROMPT, Base64, Context, Example, command, with_images

from .request import extras, interrogate
from .request.submission import FIELDS

CREDENTIALS = '-u "$KEY_ID:$SECRET"'
# force_task_id would return the existing job; the infotext is already merged into the other parameters.
OMITTED = {"force_task_id", "infotext"}


FIELDS_OF_OPERATIONS = {**FIELDS, interrogate.OPERATION: interrogate.FIELDS}
EXAMPLE = Example("txt2img", {"parameters": {"prompt": EXAMPLE_PROMPT}})


def curl(context: Context) -> str:
    operation = context.job.operation
    parameters = context.job.received["parameters"]
    fields = FIELDS_OF_OPERATIONS.get(operation, extras.FIELDS)
    sent = {
        name: value
        for name, value in parameters.items()
        if name not in OMITTED and value != fields[name].default
    }
    body = with_images(sent, context)
    body |= _seeds(context) if operation in FIELDS else _images(context)
    return command(f"{context.base_url}/sdapi/v1/{operation}", CREDENTIALS, body=body)


def _seeds(context: Context) -> dict[str, int]:
    return {"seed": context.request.seed, "subseed": context.request.subseed}


def _images(context: Context) -> dict[str, Any]:
    images = [Base64.of(image.sha256, context) for image in context.request.init_images]
    if context.job.operation in (extras.SINGLE, interrogate.OPERATION):
        return {"image": images[0]}
    return {"imageList": [{"data": image, "name": f"{index}.png"} for index, image in enumerate(images)]}
