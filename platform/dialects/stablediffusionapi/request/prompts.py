"""Prompts of a request: prompt enhancement, LoRAs, textual inversion embeddings."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from access.models import BusinessSource
from access.source_settings.prompt_modes import PromptMode
from dialects.stablediffusionapi.authentication import DIALECT
from dialects.stablediffusionapi.errors import WireError
from gpu_runner.protocol.prompt.composition import PromptComposition, PromptTooLong
from gpu_runner.protocol.prompt.embedding_names import escaped, names_in
from jobs.admission.model_choice.lora_tags import refuse_tags
from jobs.errors import Unsupported
from jobs.text_model import client
from models_registry.errors import ModelNotFound
from models_registry.models import Kind, PromptStyle
from models_registry.selectors import resolve, styles_for

from .unsupported_fields import is_ascii

# Names of embeddings that are meant for the negative prompt.
NEGATIVE_EMBEDDING = re.compile(r"neg|bad|worst|ugly", re.IGNORECASE)


def prompt_fields(values: dict[str, Any], source: BusinessSource) -> dict[str, Any]:
    """Fields of the GenerationRequest. Embeddings that no prompt names are appended to one. Raises WireError."""
    prompt, negative = values["prompt"] or "", values["negative_prompt"] or ""
    _refuse_tags(prompt)
    if values["enhance_prompt"] is not False and prompt_mode(values, source)[0] != PromptMode.EXPAND:
        prompt, negative = _enhanced(prompt, negative, source)
    for name in _embeddings(values, source):
        if not _is_named(name, prompt, negative):
            if NEGATIVE_EMBEDDING.search(name):
                negative = _joined(negative, escaped(name))
            else:
                prompt = _joined(prompt, escaped(name))
    return {"prompt": prompt, "negative_prompt": negative, "loras": _loras(values)}


def prompt_mode(values: dict[str, Any], source: BusinessSource) -> tuple[PromptMode | None, bool]:
    """What the text model does with the prompts, or None for the setting of the source; and whether it has to succeed.

    ``enhance_prompt`` expands the prompt if it is sent, instead of the prompt style; ``multi_lingual`` translates it.
    """
    has_model = client.is_configured() and source.text_model
    enhance, default = values.get("enhance_prompt"), source.prompt_mode_of(DIALECT)
    is_translated = bool(values.get("multi_lingual")) and not is_ascii(values)
    if has_model and (enhance or (enhance is None and default == PromptMode.EXPAND)):
        return PromptMode.EXPAND, is_translated
    if is_translated or (enhance is False and default == PromptMode.EXPAND):
        return PromptMode.TRANSLATE, is_translated
    return None, True


def not_enhanced(values: dict[str, Any], source: BusinessSource) -> str:
    """The reason why ``enhance_prompt: yes`` has no effect; empty if it has one, or is not sent."""
    if (
        not values.get("enhance_prompt")
        or prompt_mode(values, source)[0] == PromptMode.EXPAND
        or _style(source)
    ):
        return ""
    name = settings.STABLEDIFFUSIONAPI_ENHANCE_STYLE
    return _("enhance_prompt had no effect: there is no prompt style %(name)s.") % {"name": name}


def _style(source: BusinessSource) -> PromptStyle | None:
    return styles_for(source).filter(name=settings.STABLEDIFFUSIONAPI_ENHANCE_STYLE).first()


def _enhanced(prompt: str, negative: str, source: BusinessSource) -> tuple[str, str]:
    """Apply the prompt style STABLEDIFFUSIONAPI_ENHANCE_STYLE, if it exists."""
    style = _style(source)
    return style.apply(prompt, negative) if style else (prompt, negative)


def _embeddings(values: dict[str, Any], source: BusinessSource) -> list[str]:
    try:
        requested = [*(values["embeddings_model"] or []), *(values["embeddings"] or [])]
        return [resolve(Kind.EMBEDDING, name, source, dialect=DIALECT).name for name in requested]
    except ModelNotFound as error:
        raise WireError.invalid({"embeddings_model": [str(error)]}) from None


def _refuse_tags(prompt: str) -> None:
    try:
        refuse_tags(prompt, "lora_model")
    except Unsupported as refused:
        raise WireError.invalid({"prompt": [refused.message]}) from None


def _is_named(name: str, prompt: str, negative: str) -> bool:
    try:
        return bool(names_in([PromptComposition.of(prompt, negative, calls=1)], [name]))
    except PromptTooLong:
        return True  # refused at admission


def _joined(prompt: str, name: str) -> str:
    return f"{prompt}, {name}" if prompt else name


def _loras(values: dict[str, Any]) -> list[dict[str, Any]]:
    names, strengths = values["lora_model"] or [], values["lora_strength"] or [1.0]
    if len(strengths) == 1:
        strengths = strengths * len(names)
    if len(strengths) != len(names) and names:
        message = "The lora strength must have one number, or one for each lora model."
        raise WireError.invalid({"lora_strength": [message]})
    return [
        {"name": name, "unet": strength, "text_encoder": strength}
        for name, strength in zip(names, strengths, strict=False)
    ]
