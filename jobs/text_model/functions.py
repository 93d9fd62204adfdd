"""What the text model does: translate, expand and optimize prompts; describe and tag images.

Each function raises TextModelMissing if there is no such model, TextModelFailed if it does not answer as it should, and
Unsupported if the text is too long. Answers are cached by the content of the request.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.conf import settings
from django.core.cache import cache
from django.utils.translation import gettext as _

from gpu_runner.protocol.images.files import few_at_a_time, flatten
from jobs.errors import TextModelFailed, Unsupported
from jobs.images import input_files
from telemetry import counters

from . import client, templates
from .answers import read_list, read_object, read_text
from .prompt_parts import Part, as_words, is_plain, joined, parts_of, with_details, words_of

Result = TypeVar("Result")

ENGLISH = "English"
LANGUAGES = {
    "en": ENGLISH,
    "zh": "Chinese (Simplified)",
    "zh-tw": "Chinese (Traditional)",
    "ja": "Japanese",
    "ko": "Korean",
    "fr": "French",
    "de": "German",
    "es": "Spanish",
    "it": "Italian",
    "pt": "Portuguese",
    "ru": "Russian",
    "ar": "Arabic",
    "th": "Thai",
    "vi": "Vietnamese",
}
MAX_CHARACTERS = 8000  # of a text for the model
MAX_DETAILS = 1000
MAX_DESCRIPTION = 4000
MAX_TAGS = 60
MAX_SIDE = 1024  # of an image for the model, in pixels
CACHE_S = 24 * 3600


@dataclass(frozen=True)
class Optimized:
    """A rewritten prompt, and a negative prompt for it."""

    prompt: str
    negative_prompt: str


def translate(
    prompt: str, language: str = "en", embeddings: Iterable[str] = (), *, is_prompt: bool = True
) -> str:
    """Translate a prompt, or any text. Syntax and the names of embeddings stay as they are.

    A prompt is translated to English only in parts that have letters beyond A to Z; without any, no model is needed.
    """
    return translate_all([prompt], language, embeddings, is_prompt=is_prompt)[0]


def translate_all(
    prompts: list[str], language: str = "en", embeddings: Iterable[str] = (), *, is_prompt: bool = True
) -> list[str]:
    """Translate several texts in one call."""
    name = _language(language)
    only_foreign = is_prompt and name == ENGLISH
    names = list(embeddings)
    split = [parts_of(prompt, names) for prompt in prompts]

    def is_translated(part: Part) -> bool:
        return part.has_foreign_letters if only_foreign else part.has_letters

    chosen = dict.fromkeys(part.content.strip() for parts in split for part in parts if is_translated(part))
    if not chosen:
        return prompts
    translations = dict(zip(chosen, _translations(list(chosen), name, name == ENGLISH), strict=True))

    def translated(part: Part) -> Part:
        return part.with_text(translations[part.content.strip()]) if is_translated(part) else part

    return [joined(map(translated, parts)) for parts in split]


def expand(prompt: str, language: str = "en", embeddings: Iterable[str] = ()) -> str:
    """Append details to a prompt. To English, it is translated first."""
    name = _language(language)
    client.require("prompt")
    if name == ENGLISH:
        prompt = translate(prompt, language, embeddings)

    def read(answer: dict[str, Any]) -> str:
        return as_words(read_text(answer.get("details"), MAX_DETAILS, english=name == ENGLISH, blank=True))

    details = _ask(templates.EXPAND, name, {"prompt": words_of(prompt)}, read)
    return with_details(prompt, details) if details else prompt


def optimize(prompt: str, language: str = "en", embeddings: Iterable[str] = ()) -> Optimized:
    """Rewrite a prompt, and write a negative prompt. A prompt with brackets and the like is not rewritten but expanded."""
    name = _language(language)
    client.require("prompt")

    def read(answer: dict[str, Any]) -> list[str]:
        limit, english = MAX_DETAILS + 2 * len(prompt), name == ENGLISH
        rewritten = read_text(answer.get("prompt"), limit, english=english)
        negative = read_text(answer.get("negative_prompt", ""), limit, english=english, blank=True)
        return [as_words(rewritten), as_words(negative)]

    parts = parts_of(prompt, embeddings)
    rewritten, negative = _ask(templates.OPTIMIZE, name, {"prompt": words_of(prompt)}, read)
    if not is_plain(part for part in parts if not part.is_tag):
        return Optimized(expand(prompt, language, embeddings), negative)
    tags = "".join(part.content for part in parts if part.is_tag)
    return Optimized(f"{rewritten} {tags}".strip(), negative)


def describe(image: bytes, language: str = "en") -> str:
    """Describe an image file in sentences. Raises InvalidImage, too."""
    name = _language(language)

    def read(answer: dict[str, Any]) -> str:
        return read_text(answer.get("description"), MAX_DESCRIPTION, english=name == ENGLISH)

    return _look(templates.DESCRIBE, name, image, read)


def suggest_tags(image: bytes) -> list[str]:
    """English tags of an image file, the most important first. Raises InvalidImage, too."""

    def read(answer: dict[str, Any]) -> list[str]:
        tags = [read_text(tag, 100, english=True) for tag in read_list(answer.get("tags"))[:MAX_TAGS]]
        return list(dict.fromkeys(tags))

    return _look(templates.TAGS, ENGLISH, image, read)


def _language(code: str) -> str:
    try:
        return LANGUAGES[code.lower()]
    except KeyError:
        values = {"codes": ", ".join(LANGUAGES), "code": code[:20]}
        raise Unsupported(_("The language must be one of %(codes)s (got %(code)s).") % values) from None


def _translations(texts: list[str], language: str, is_english: bool) -> list[str]:
    client.require("prompt")

    def read(answer: dict[str, Any]) -> list[str]:
        translations = read_list(answer.get("texts"))
        if len(translations) != len(texts):
            raise client.unusable()
        return [
            as_words(read_text(translation, 200 + 10 * len(text), english=is_english))
            for text, translation in zip(texts, translations, strict=True)
        ]

    return _ask(templates.TRANSLATE, language, {"texts": texts}, read)


def _ask(
    template: str, language: str, data: Mapping[str, Any], read: Callable[[dict[str, Any]], Result]
) -> Result:
    """The checked answer to a request with texts."""
    client.require("prompt")
    document = json.dumps(data, ensure_ascii=False)
    if len(document) > MAX_CHARACTERS:
        values = {"limit": MAX_CHARACTERS, "length": len(document)}
        message = _("A text for the text model must have at most %(limit)d characters (got %(length)d).")
        raise Unsupported(message % values, field="prompt")
    return _cached(settings.TEXT_MODEL_NAME, template.replace("{language}", language), document, read)


def _look(template: str, language: str, image: bytes, read: Callable[[dict[str, Any]], Result]) -> Result:
    """The checked answer to a request with an image."""
    client.require("image", vision=True)
    content = [{"type": "image_url", "image_url": {"url": _data_url(image)}}]
    return _cached(settings.TEXT_MODEL_VISION, template.replace("{language}", language), content, read)


def _cached(model: str, instructions: str, content: Any, read: Callable[[dict[str, Any]], Result]) -> Result:
    messages = [{"role": "system", "content": instructions}, {"role": "user", "content": content}]
    request = json.dumps([settings.TEXT_MODEL_URL, settings.TEXT_MODEL_OPTIONS, model, messages])
    key = f"text-model:{hashlib.sha256(request.encode()).hexdigest()}"
    known: Result | None = cache.get(key)
    if known is None:
        try:
            known = read(read_object(client.complete(model, messages)))
        except TextModelFailed:
            counters.text_model_calls.labels(outcome="failed").inc()
            raise
        counters.text_model_calls.labels(outcome="answered").inc()
        cache.set(key, known, CACHE_S)
    return known


@few_at_a_time
def _data_url(image: bytes) -> str:
    """The image as a JPEG without metadata, of at most MAX_SIDE pixels a side. Raises InvalidImage."""
    input_files.check_image(image)
    picture = flatten(input_files.open_image(image))
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
