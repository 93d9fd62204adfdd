"""Textual inversions act where a prompt says their name. Which ones that are is settled at admission."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from django.db.models import Q
from django.utils.translation import gettext as _

from gpu_runner.protocol import GenerationRequest
from jobs.errors import Unsupported
from models_registry.errors import ModelNotFound
from models_registry.models import Family, Kind
from models_registry.selectors import list_for, names_for

from .model_resolution import ModelResolver

MOST_AT_ONCE = 64
SYNTAX = "()[]:|"  # ends a word, as a space does


def with_named_embeddings(models: ModelResolver, request: GenerationRequest) -> GenerationRequest:
    """With the embeddings that a prompt names, that the source may use, and that are of the checkpoint's family.

    A list that the caller sent is replaced.
    """
    source, on_runners = models.source, models.on_runners
    names = named_in(_texts(request), names_for(Kind.EMBEDDING, source, on_runners=on_runners))
    if names:
        files = list_for(Kind.EMBEDDING, source, on_runners=on_runners)
        family = _family(models, request)
        fitting = files.filter(Q(family=Family.UNKNOWN) | Q(family=family), name__in=names)
        names = sorted(fitting.values_list("name", flat=True))
    if len(names) > MOST_AT_ONCE:
        message = _("The prompts name %(count)d embeddings; %(most)d is the most.")
        raise Unsupported(message % {"count": len(names), "most": MOST_AT_ONCE}, field="prompt")
    return request.model_copy(update={"embeddings": tuple(names)})


def named_in(texts: Iterable[str], names: Iterable[str]) -> list[str]:
    """The names that a text says as whole words, in the tokenizer's sense of a word: a run of letters, a digit, a run of signs."""
    written = [_normal(text) for text in texts]
    return [name for name in names if any(_says(text, _normal(name)) for text in written)]


def _family(models: ModelResolver, request: GenerationRequest) -> str:
    try:
        return models.find(Kind.CHECKPOINT, request.checkpoint).family
    except ModelNotFound:
        return Family.UNKNOWN  # ``resolve_all`` refuses the request


def _texts(request: GenerationRequest) -> list[str]:
    hires = [request.hires.prompt, request.hires.negative_prompt] if request.hires else []
    return [request.prompt, request.negative_prompt, *hires]


def _normal(text: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", text)).lower()


def _says(text: str, name: str) -> bool:
    return bool(name.strip()) and any(_is_whole(text, place, name) for place in _places(text, name))


def _places(text: str, name: str) -> Iterator[int]:
    place = text.find(name)
    while place >= 0:
        yield place
        place = text.find(name, place + 1)


def _is_whole(text: str, place: int, name: str) -> bool:
    before, after = text[:place][-1:], text[place + len(name) :][:1]
    return not (_one_word(before, name[0]) or _one_word(name[-1], after))


def _one_word(one: str, other: str) -> bool:
    return bool(one and other) and _class(one) == _class(other) in ("letter", "sign")


def _class(character: str) -> str:
    if character.isspace() or character in SYNTAX:
        return "space"
    if character.isalpha():
        return "letter"
    return "digit" if character.isnumeric() else "sign"
