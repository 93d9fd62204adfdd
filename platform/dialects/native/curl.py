"""Render a job as a curl command for the native API, which can express jobs of all dialects."""

from __future__ import annotations

from typing import Any

from access.prompt_modes import PromptMode
from gpu_runner.protocol.prompt.extra_networks import extra_networks
from jobs.curl_export import EXAMPLE_PROMPT, Base64, Context, Example, command

CREDENTIALS = '-H "Authorization: Bearer $KEY_ID:$SECRET"'
EXAMPLE = Example("txt2img", {"prompt": EXAMPLE_PROMPT})


def curl(context: Context) -> str:
    request = context.request.model_dump(mode="json", exclude_defaults=True)
    if context.job.rewriting.get("written"):
        request["prompt_mode"] = PromptMode.AS_IS.value  # the prompts are those that were drawn
    body = _without_ignored_tags(_with_images(request, context)) | {"seed": context.request.seed}
    return command(f"{context.base_url}/api/v1/jobs", CREDENTIALS, body=body)


def _without_ignored_tags(body: dict[str, Any]) -> dict[str, Any]:
    """Remove the tags from a prompt if not all were used: A1111 ignores unusable ones, this API refuses them."""
    for part in (body, body.get("hires") or {}):
        text, tags = extra_networks(part.get("prompt", ""))
        if len(tags) > len(part.get("loras") or ()):
            part["prompt"] = text
    return body


def _with_images(value: Any, context: Context) -> Any:
    if isinstance(value, dict) and value.keys() == {"sha256"}:
        return Base64.of(value["sha256"], context, "data:image/png;base64,")
    if isinstance(value, dict):
        return {name: _with_images(part, context) for name, part in value.items()}
    return [_with_images(part, context) for part in value] if isinstance(value, list) else value
