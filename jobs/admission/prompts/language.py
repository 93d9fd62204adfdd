"""Prompts in a language that the text encoder does not know: a warning, or a refusal for strict sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.prompt.composition import PromptTooLong
from gpu_runner.protocol.prompt.embedding_names import passes_of
from gpu_runner.protocol.prompt.languages import OTHER, foreign_scripts
from jobs.errors import Refused, Unsupported
from jobs.models import Backend, Job


def unknown_languages(source: BusinessSource, backend: str, request: GenerationRequest) -> Iterator[Refused]:
    """Yield the refusal of a strict source. The embeddings of the request must be known."""
    if source.strict:
        for message in warnings_of(backend, request):
            yield Unsupported(message, field="prompt")


def prompt_warnings(job: Job) -> list[str]:
    """Warnings about the prompts of a job, for its client."""
    return [*rewriting_warnings(job.rewriting), *warnings_of(job.backend, job.generation_request)]


def rewriting_warnings(rewriting: Mapping[str, Any]) -> list[str]:
    """The warning that prompts were not translated or expanded although they should be."""
    reason = rewriting.get("problem")
    return (
        [_("the prompts are drawn as they were written: %(reason)s") % {"reason": reason}] if reason else []
    )


def warnings_of(backend: str, request: GenerationRequest) -> list[str]:
    """Warnings about the prompts of a request. Models of a ComfyUI server may have other text encoders than CLIP."""
    if backend != Backend.PIPELINE or not request.denoises:
        return []
    try:
        scripts = foreign_scripts(passes_of(request), request.embeddings, request.emphasis)
    except PromptTooLong:
        return []
    if not scripts:
        return []
    labels = {
        "Japanese": _("Japanese"),
        "Chinese": _("Chinese"),
        "Korean": _("Korean"),
        "Cyrillic": _("Cyrillic"),
        "Arabic": _("Arabic"),
        "Thai": _("Thai"),
        "Hebrew": _("Hebrew"),
        "Devanagari": _("Devanagari"),
        "Greek": _("Greek"),
        OTHER: _("non-Latin"),
    }
    message = _(
        "the prompts have %(scripts)s text, which the model's text encoder does not know: use English"
    )
    return [message % {"scripts": ", ".join(labels[script] for script in scripts)}]
