"""A job as a request to our own API, which has a word for all of it."""

from __future__ import annotations

from typing import Any

from jobs.curl_export import Asked, Base64, command

CREDENTIALS = '-H "Authorization: Bearer $KEY_ID:$SECRET"'


def curl(asked: Asked) -> str:
    request = asked.request.model_dump(mode="json", exclude_defaults=True)
    body = _with_pictures(request, asked) | {"seed": asked.request.seed}
    return command(f"{asked.base}/api/v1/jobs", CREDENTIALS, body=body)


def _with_pictures(value: Any, asked: Asked) -> Any:
    if isinstance(value, dict) and value.keys() == {"sha256"}:
        return Base64.of(value["sha256"], asked, "data:image/png;base64,")
    if isinstance(value, dict):
        return {name: _with_pictures(part, asked) for name, part in value.items()}
    return [_with_pictures(part, asked) for part in value] if isinstance(value, list) else value
