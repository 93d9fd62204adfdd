"""Export of a job as curl commands: in the dialect of its request, and in the native API.

Dialects register a renderer and an example when their app is ready; the console shows the commands. Commands contain
no secrets: credentials are the shell variables $KEY_ID and $SECRET.
"""

from __future__ import annotations

import json
import re
import secrets
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey
from gpu_runner.protocol import GenerationRequest
from models_registry.models import Kind
from models_registry.selectors import list_for

from .images.signed_urls import input_url
from .models import Job

HASH = re.compile(r"sha256:([0-9a-f]{64})")


class NotRepeatable(Exception):
    """The request cannot be sent again in its dialect. The message is shown to users."""


@dataclass(frozen=True)
class Context:
    """Arguments of a renderer."""

    job: Job
    request: GenerationRequest
    base_url: str


@dataclass(frozen=True)
class Curl:
    """A curl command, or the reason why there is none."""

    dialect: str
    command: str = ""
    reason: str = ""  # why there is no command


Render = Callable[[Context], str]  # raises NotRepeatable
CHECKPOINT = "{checkpoint}"  # in an example: the name of the default checkpoint
EXAMPLE_PROMPT = "a red circle on a blue background"
EXAMPLE_SEED = 8


@dataclass(frozen=True)
class Example:
    """A request of a dialect as its jobs store it: ``Job.operation`` and ``Job.received``."""

    operation: str
    received: dict[str, Any]


_renderers: dict[str, Render] = {}
_examples: dict[str, Example] = {}
_for_all_jobs: set[str] = set()


def register(dialect: str, render: Render, example: Example, *, for_all_jobs: bool = False) -> None:
    """Register a renderer for the jobs of this dialect, or for all jobs, and an example of a request."""
    _renderers[dialect] = render
    _examples[dialect] = example
    if for_all_jobs:
        _for_all_jobs.add(dialect)


def dialects() -> list[str]:
    return sorted(_renderers)


def commands(job: Job, base_url: str) -> list[Curl]:
    """Return the curl commands of a job, the one in its own dialect first."""
    context = Context(job, job.generation_request, base_url)
    own = [job.dialect] if job.dialect in _renderers and job.received else []
    return [_rendered(dialect, context) for dialect in [*own, *sorted(_for_all_jobs - {*own})]]


def examples(key: AccessKey, base_url: str, secret: str = "SECRET") -> list[Curl]:
    """One request in each dialect that the key and its source may use, with the key's id and ``secret``."""
    source = key.source
    allowed = [name for name in dialects() if key.allows_dialect(name) and source.allows_dialect(name)]
    checkpoint = list_for(Kind.CHECKPOINT, source).order_by("-is_default", "created_at", "pk").first()
    name = checkpoint.name if checkpoint else "CHECKPOINT"
    credentials = f"KEY_ID={shlex.quote(key.key_id)}\nSECRET={shlex.quote(secret)}\n"
    contexts = [_context_of_example(dialect, key, name, base_url) for dialect in allowed]
    return [Curl(one.job.dialect, credentials + _renderers[one.job.dialect](one)) for one in contexts]


def _context_of_example(dialect: str, key: AccessKey, checkpoint: str, base_url: str) -> Context:
    example, request = _examples[dialect], GenerationRequest(prompt=EXAMPLE_PROMPT, seed=EXAMPLE_SEED)
    received = json.loads(
        json.dumps(example.received).replace(json.dumps(CHECKPOINT), json.dumps(checkpoint))
    )
    job = Job(
        source=key.source,
        key=key,
        dialect=dialect,
        operation=example.operation,
        received=received,
        rewriting={},
    )
    return Context(job, request, base_url)


def _rendered(dialect: str, context: Context) -> Curl:
    try:
        return Curl(dialect, _renderers[dialect](context))
    except NotRepeatable as reason:
        return Curl(dialect, reason=str(reason))


# For the renderers --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Base64:
    """An input image in a JSON body. The command downloads and encodes it; its signed URL expires."""

    url: str
    prefix: str = ""

    @classmethod
    def of(cls, sha256: str, context: Context, prefix: str = "") -> Base64:
        return cls(input_url(sha256, context.base_url), prefix)


def with_images(value: Any, context: Context) -> Any:
    """Replace image hashes in a received body by images. Raises NotRepeatable if one was not stored."""
    if isinstance(value, dict):
        return {name: with_images(item, context) for name, item in value.items()}
    if isinstance(value, list):
        return [with_images(item, context) for item in value]
    found = HASH.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    if found[1] not in context.request.input_hashes():
        raise NotRepeatable(_("one of its input images was not stored as received"))
    return Base64.of(found[1], context)


def command(url: str, *options: str, body: Any) -> str:
    """Return a curl command that POSTs a JSON body."""
    head = [f"curl -sS {shlex.quote(url)}", *options, "-H 'Content-Type: application/json'"]
    return " \\\n  ".join([*head, "--data-binary @- <<END"]) + f"\n{in_shell(body)}\nEND"


def in_shell(body: Any) -> str:
    """Serialize JSON for an unquoted here-document. The shell expands images only; client text is escaped."""
    mark = secrets.token_hex(16)  # cannot be guessed, so that no prompt contains it
    text = json.dumps(
        body, indent=2, ensure_ascii=False, default=lambda it: f"{it.prefix}{mark}<{it.url}>{mark}"
    )
    for special in ("\\", "$", "`"):
        text = text.replace(special, "\\" + special)
    return text.replace(f"{mark}<", "$(curl -sS '").replace(f">{mark}", "' | base64 | tr -d '\\n')")
