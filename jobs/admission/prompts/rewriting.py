"""Translation and expansion of prompts by the text model, before a job is inserted.

The mode is the one that the request chooses, or else that of the source for the dialect. The texts that were written
are stored with the job; its request has those that are drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from annotated_types import MaxLen
from django.utils.translation import gettext as _
from pydantic import BaseModel

from access.source_settings.prompt_modes import PromptMode
from gpu_runner.protocol import GenerationRequest
from jobs.admission.submission import Submission
from jobs.errors import Refused, TextModelFailed, TextModelMissing, Unsupported
from jobs.text_model import client, functions
from jobs.text_model.prompt_parts import parts_of

FIELDS = ("prompt", "negative_prompt")
# Of a prompt of GenerationRequest.
MAX_CHARACTERS: int = next(
    limit.max_length
    for limit in GenerationRequest.model_fields["prompt"].metadata
    if isinstance(limit, MaxLen)
)

Texts = dict[str, str]  # by the name of the field, such as "hires.prompt"
Part = TypeVar("Part", bound=BaseModel)


def mode_of(submission: Submission) -> PromptMode:
    """The mode of a submission; AS_IS if there is nothing to change."""
    if not submission.request.denoises:
        return PromptMode.AS_IS
    mode = submission.prompt_mode or submission.source.prompt_mode_of(submission.dialect)
    if mode == PromptMode.AS_IS:
        return mode
    texts = texts_of(submission.request)
    if mode == PromptMode.EXPAND and any(part.has_letters for part in parts_of(texts["prompt"])):
        return mode
    is_foreign = any(part.has_foreign_letters for text in texts.values() for part in parts_of(text))
    return PromptMode.TRANSLATE if is_foreign else PromptMode.AS_IS


def problems(submission: Submission) -> Iterator[TextModelMissing]:
    """Yield the reason why the prompts cannot be changed as they should. Does not call the text model."""
    if mode_of(submission) == PromptMode.AS_IS:
        return
    if not submission.source.text_model:
        message = _("%(source)s may not use the text model.") % {"source": submission.source.name}
        yield TextModelMissing(message, field="prompt")
    elif not client.is_configured():
        try:
            client.require("prompt")
        except TextModelMissing as missing:
            yield missing


def must_succeed(submission: Submission) -> bool:
    """Whether a failure refuses the request: the request chose the mode, or its source is strict."""
    chosen = submission.prompt_mode is not None and submission.prompt_mode_required
    return chosen or submission.source.strict


def rewritten(submission: Submission, embeddings: Iterable[str] = ()) -> Submission:
    """The submission with the prompts that are drawn. Calls the text model: not inside a transaction.

    ``embeddings``: names in the prompts that are kept. Raises Refused; otherwise a failure leaves the prompts as they
    are, and its reason becomes a warning.
    """
    mode = mode_of(submission)
    if mode == PromptMode.AS_IS:
        return submission
    try:
        for missing in problems(submission):
            raise missing
        written = texts_of(submission.request)
        drawn = _drawn(written, mode, list(embeddings))
    except (TextModelFailed, Unsupported) as refused:
        if must_succeed(submission):
            raise
        return replace(submission, rewriting={"mode": mode.value, "problem": refused.message})
    changed = {name: text for name, text in written.items() if text != drawn[name]}
    request = _with_texts(submission.request, drawn)
    return replace(submission, request=request, rewriting={"mode": mode.value, "written": changed})


def texts_of(request: GenerationRequest) -> Texts:
    """The prompts of a request that are not empty, and always ``prompt``; also those of its parts, such as hires."""
    return {"prompt": request.prompt, **dict(_texts(request, ""))}


def _texts(part: BaseModel, path: str) -> Iterator[tuple[str, str]]:
    for name in type(part).model_fields:
        value = getattr(part, name)
        if name in FIELDS and value:
            yield f"{path}{name}", value
        elif isinstance(value, BaseModel):
            yield from _texts(value, f"{path}{name}.")
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from _texts(item, f"{path}{name}.{index}.")


def _drawn(written: Texts, mode: PromptMode, embeddings: list[str]) -> Texts:
    drawn = dict(zip(written, functions.translate_all([*written.values()], "en", embeddings), strict=True))
    if mode == PromptMode.EXPAND:
        drawn["prompt"] = functions.expand(drawn["prompt"], "en", embeddings)
    for name, text in drawn.items():
        if len(text) > MAX_CHARACTERS:
            values = {"limit": MAX_CHARACTERS, "length": len(text)}
            message = _(
                "The prompt must have at most %(limit)d characters after its translation (got %(length)d)."
            )
            raise Unsupported(message % values, field=name.partition(".")[0])
    return drawn


def _with_texts(part: Part, texts: Texts, path: str = "") -> Part:
    """Copy of a request, or of a part of it, with other prompts."""
    changed: dict[str, Any] = {}
    for name in type(part).model_fields:
        value, place = getattr(part, name), f"{path}{name}"
        if name in FIELDS:
            changed[name] = texts.get(place, value)
        elif isinstance(value, BaseModel):
            changed[name] = _with_texts(value, texts, f"{place}.")
        elif isinstance(value, tuple) and any(isinstance(item, BaseModel) for item in value):
            changed[name] = tuple(
                _with_texts(item, texts, f"{place}.{index}.") if isinstance(item, BaseModel) else item
                for index, item in enumerate(value)
            )
    return part.model_copy(update=changed)


def refusals(submission: Submission) -> Iterator[Refused]:
    """For a quote: yield the reason why admission would refuse the request without calling the text model."""
    if must_succeed(submission):
        yield from problems(submission)
