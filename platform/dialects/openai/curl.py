"""Render a job as a curl command with a JSON body."""

from __future__ import annotations

from jobs.curl_export import Context, command, with_images

CREDENTIALS = '-H "Authorization: Bearer $KEY_ID:$SECRET"'
OURS = ("warnings",)  # stored with the request, but not fields of it
OF_THE_CONNECTION = ("stream", "partial_images", "async")  # the command prints one answer


def curl(context: Context) -> str:
    received = context.job.received
    omitted = {*OURS, *OF_THE_CONNECTION}
    body = {name: value for name, value in received.items() if name not in omitted}
    body = with_images(body, context) | {"seed": context.request.seed}
    return command(f"{context.base_url}/v1/images/{context.job.operation}", CREDENTIALS, body=body)
