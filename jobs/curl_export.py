"""A job as a command that anybody can paste: what each dialect would have to be sent to ask for the same.

A dialect registers how it says it when its app is ready; the console shows what they say. The commands hold no secret:
the caller's are $KEY_ID and $SECRET.
"""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from gpu_runner.protocol import GenerationRequest, sampler_catalog
from gpu_runner.protocol.prompt.extra_networks import extra_networks

from .images.signed_urls import input_url
from .models import Job


class CannotSay(Exception):
    """Why a dialect has no words for the request, fit for people."""


@dataclass(frozen=True)
class Asked:
    """A job's request, and where this platform is."""

    job: Job
    request: GenerationRequest
    base: str


@dataclass(frozen=True)
class Said:
    dialect: str
    command: str = ""
    reason: str = ""  # why there is no command


Say = Callable[[Asked], str]  # raises CannotSay

_dialects: dict[str, Say] = {}


def register(dialect: str, say: Say) -> None:
    _dialects[dialect] = say


def dialects() -> list[str]:
    return sorted(_dialects)


def in_every_dialect(job: Job, base: str) -> list[Said]:
    """The job's own dialect first."""
    asked = Asked(job, job.generation_request, base)
    return [
        _said(dialect, asked) for dialect in sorted(_dialects, key=lambda name: (name != job.dialect, name))
    ]


def _said(dialect: str, asked: Asked) -> Said:
    try:
        return Said(dialect, _dialects[dialect](asked))
    except CannotSay as reason:
        return Said(dialect, reason=str(reason))


# What the dialects write their commands with ------------------------------------------------------------------------


@dataclass(frozen=True)
class Base64:
    """In a body: an input picture, which the command itself fetches from here while its URL lasts."""

    url: str
    prefix: str = ""

    @classmethod
    def of(cls, sha256: str, asked: Asked, prefix: str = "") -> Base64:
        return cls(input_url(sha256, asked.base), prefix)


def refuse_all_but(request: GenerationRequest, *fields: str, tasks: tuple[str, ...]) -> None:
    """Raises CannotSay for what the dialect has no words for. What was left as it is need not be said."""
    if request.task not in tasks:
        raise CannotSay(_("has no word for this task: %(task)s") % {"task": request.task})
    asked_for = request.model_dump(exclude_defaults=True).keys() - {*NEVER_SAID, *fields}
    if (
        not request.subseed_strength
    ):  # A1111's clients get one in any case; without a strength it does nothing
        asked_for -= {"subseed"}
    if asked_for:
        raise no_words(*asked_for)


# The source's own policy, what the words themselves say, and what no picture depends on.
NEVER_SAID = {"task", "nsfw", "embeddings", "preview_every"}


def no_words(*fields: str) -> CannotSay:
    return CannotSay(_("has no words for: %(fields)s") % {"fields": ", ".join(sorted(fields))})


def within(lowest: float, highest: float, **fields: float) -> None:
    """Raises CannotSay for what is out of the dialect's bounds."""
    if beyond := [name for name, value in fields.items() if not lowest <= value <= highest]:
        raise no_words(*beyond)


def restores_faces(request: GenerationRequest) -> bool:
    """Raises CannotSay for a share of what the restorer draws: a dialect's yes or no means all of it."""
    if request.face_restoration and request.face_restoration.visibility != 1:
        raise no_words("face_restoration")
    return request.face_restoration is not None


def loras_in_the_prompt(request: GenerationRequest) -> None:
    """Raises CannotSay where a dialect that names LoRAs by tags would leave out one, or act with another."""
    tags = extra_networks(request.prompt)[1]
    said = sorted((tag.name, tag.unet, tag.text_encoder) for tag in tags if tag.is_lora)
    if said != sorted((lora.name, lora.unet, lora.text_encoder) for lora in request.loras):
        raise no_words("loras")


def sampler_and_scheduler(request: GenerationRequest) -> str:
    """As one name, such as "DPM++ 2M Karras"."""
    is_plain = request.scheduler == sampler_catalog.AUTOMATIC
    name = request.sampler if is_plain else f"{request.sampler} {request.scheduler}"
    sampler, scheduler = sampler_catalog.resolve(name)
    walked = sampler_catalog.effective_scheduler(request.sampler, request.scheduler)
    if (sampler, sampler_catalog.effective_scheduler(sampler, scheduler)) != (request.sampler, walked):
        raise no_words("scheduler")
    return name


def command(url: str, *options: str, body: Any) -> str:
    """A POST of JSON."""
    head = [f"curl -sS {shlex.quote(url)}", *options, "-H 'Content-Type: application/json'"]
    return " \\\n  ".join([*head, "--data-binary @- <<END"]) + f"\n{in_shell(body)}\nEND"


def in_shell(body: Any) -> str:
    """JSON for an unquoted here-document: the shell replaces pictures, and nothing that a client has written."""
    mark = secrets.token_hex(16)  # what nobody could have put into a prompt
    text = json.dumps(
        body, indent=2, ensure_ascii=False, default=lambda it: f"{it.prefix}{mark}<{it.url}>{mark}"
    )
    for special in ("\\", "$", "`"):
        text = text.replace(special, "\\" + special)
    return text.replace(f"{mark}<", "$(curl -sS '").replace(f">{mark}", "' | base64 | tr -d '\\n')")
