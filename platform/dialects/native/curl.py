"""A job as a request to our own API, which can express all of them."""

from __future__ import annotations

from typing import Any

from jobs.curl_export import Base64, Context, command

CREDENTIALS = '-H "Authorization: Bearer $KEY_ID:$SECRET"'


def curl(context: Context) -> str:
    request = context.request.model_dump(mode="json", exclude_defaults=True)
    body = _with_images(request, context) | {"seed": context.request.seed}
    return command(f"{context.base_url}/api/v1/jobs", CREDENTIALS, body=body)


def _with_images(value: Any, context: Context) -> Any:
    if isinstance(value, dict) and value.keys() == {"sha256"}:
        return Base64.of(value["sha256"], context, "data:image/png;base64,")
    if isinstance(value, dict):
        return {name: _with_images(part, context) for name, part in value.items()}
    return [_with_images(part, context) for part in value] if isinstance(value, list) else value
