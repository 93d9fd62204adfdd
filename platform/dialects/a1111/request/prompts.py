"""Prompts of a request: apply styles, remove comments, and resolve the LoRAs of the tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.a1111.authentication import DIALECT
from dialects.a1111.options.options import EffectiveOptions
from gpu_runner.protocol.prompt.extra_networks import InvalidTag, Tag, extra_networks
from models_registry.errors import ModelNotFound
from models_registry.lora_tags import lora_file, use_of
from models_registry.models import PromptStyle
from models_registry.selectors import styles_for

COMMENT_LINE = re.compile(r"(^|\n)#[^\n]*(\n|$)")
COMMENT = re.compile(r"#[^\n]*(\n|$)")


class Prompts:
    """Prompt preprocessing of one request, also used for the hires pass."""

    def __init__(
        self, parameters: dict[str, Any], settings: EffectiveOptions, source: BusinessSource
    ) -> None:
        self._settings = settings
        self._source = source
        self._styles = _selected_styles(parameters["styles"] or [], source)
        self._tags_enabled = not parameters["disable_extra_networks"]

    def positive(self, text: str) -> str:
        for style in self._styles:
            text, _negative = style.apply(text, "")
        return self._settings.model_defaults.prefixed(self._without_comments(text))

    def negative(self, text: str) -> str:
        for style in self._styles:
            _positive, text = style.apply("", text)
        return self._without_comments(text)

    def _without_comments(self, text: str) -> str:
        if self._settings["enable_prompt_comments"]:
            return COMMENT.sub("\n", COMMENT_LINE.sub("\n", text))
        return text

    def loras(self, prompt: str) -> list[dict[str, Any]]:
        """LoRA uses of the prompt's tags. Unusable tags are skipped, as in the original, with a warning."""
        tags = extra_networks(prompt)[1] if self._tags_enabled else []
        return list(self._uses(tags))

    def _uses(self, tags: Iterable[Tag]) -> Iterator[dict[str, Any]]:
        for tag in tags:
            try:
                file = lora_file(tag, self._source, dialect=DIALECT)
                yield use_of(file, tag)
                if file.left_out:
                    message = _("parts of <lora:%(name)s> are not used: %(parts)s")
                    parts = {"name": tag.name, "parts": file.left_out}
                    self._settings.fallbacks.add(("body", "prompt"), message % parts)
            except (InvalidTag, ModelNotFound) as error:
                message = _("<%(kind)s:%(name)s> in the prompt was ignored: %(reason)s")
                values = {"kind": tag.kind, "name": tag.name, "reason": error}
                self._settings.fallbacks.add(("body", "prompt"), message % values)


def prompts(parameters: dict[str, Any], settings: EffectiveOptions, source: BusinessSource) -> dict[str, Any]:
    """Prompt fields of the canonical request."""
    texts = Prompts(parameters, settings, source)
    prompt = texts.positive(parameters["prompt"] or "")
    return {
        "prompt": prompt,
        "negative_prompt": texts.negative(parameters["negative_prompt"] or ""),
        "loras": texts.loras(prompt),
        "emphasis": settings["emphasis"],
        "comma_backtrack": settings["comma_padding_backtrack"],
    }


def _selected_styles(names: list[str], source: BusinessSource) -> list[PromptStyle]:
    """Styles in the order of the request. Unknown names are ignored, as in the original."""
    known = {style.name: style for style in styles_for(source).filter(name__in=names)} if names else {}
    return [known[name] for name in names if name in known]
