"""Render a job as a curl command with a JSON body."""

from __future__ import annotations

from jobs.curl_export import Context, command, with_images

CREDENTIALS = '-H "Authorization: Bearer $KEY_ID:$SECRET"'
STORED_WITH_IT = "warnings"  # not a field of the request


def curl(context: Context) -> str:
    received = {name: value for name, value in context.job.received.items() if name != STORED_WITH_IT}
    body = with_images(received, context) | {"seed": context.request.seed}
    return command(f"{context.base_url}/v1/images/{context.job.operation}", CREDENTIALS, body=body)
