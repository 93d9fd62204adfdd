"""Example calls of the native API, which can express the jobs of all dialects."""

from __future__ import annotations

from typing import Any

from access.models import AccessKey
from access.source_settings.prompt_modes import PromptMode
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.prompt.extra_networks import extra_networks
from jobs.admission.submission import Submission
from jobs.api_reference.examples.call import TASK, Call, Form, Result, Scheme, Wait
from jobs.api_reference.expressions import refused_by
from jobs.api_reference.job_calls import JobContext
from jobs.api_reference.reference import Context

from .errors import Problem
from .request.submission import refused_references, submission_of

IMAGE = Result(Form.PATH, path=f"/api/v1/jobs/{TASK}/outputs/0")
POLL = Wait(("state",), ("queued", "running"), f"/api/v1/jobs/{TASK}", id_at=("id",))


def call(context: Context | JobContext, body: dict[str, Any], *, waits: bool = True) -> Call:
    result, wait = (IMAGE, POLL) if waits else (None, None)
    return Call(context.base_url, context.key_id, "/api/v1/jobs", body, Scheme.BEARER, result, wait)


def repeat(context: JobContext) -> Call:
    """The call that repeats a job of any dialect."""
    body = _body(context.request)
    if context.job.rewriting.get("written"):
        body["prompt_mode"] = PromptMode.AS_IS.value  # the prompts are those that were drawn
    return call(context, _without_ignored_tags(body), waits=False)


def express(request: GenerationRequest, context: Context) -> Call:
    """The call of a generation request."""
    return call(context, _body(request))


def _body(request: GenerationRequest) -> dict[str, Any]:
    fields = _with_hashes(request.model_dump(mode="json", exclude_defaults=True))
    return {**fields, "seed": request.seed}


def _without_ignored_tags(body: dict[str, Any]) -> dict[str, Any]:
    """Remove the tags from a prompt if not all were used: A1111 ignores unusable ones, this API refuses them."""
    for part in (body, body.get("hires") or {}):
        text, tags = extra_networks(part.get("prompt", ""))
        if len(tags) > len(part.get("loras") or ()):
            part["prompt"] = text
    return body


def _with_hashes(value: Any) -> Any:
    """Images as clients write them: the SHA-256 alone."""
    if isinstance(value, dict) and value.keys() == {"sha256"}:
        return value["sha256"]
    if isinstance(value, dict):
        return {name: _with_hashes(part) for name, part in value.items()}
    return [_with_hashes(part) for part in value] if isinstance(value, list) else value


def read(key: AccessKey, call: Call) -> Submission:
    """What a call would submit. Raises NotExpressible."""
    with refused_by(Problem):
        submission = submission_of(key, dict(call.body), call.base_url)
        for refused in refused_references(key.source, submission):
            raise refused
        return submission
