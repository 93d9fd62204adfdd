"""The words of a request and the small models that act with them: enhancing, LoRAs, embeddings."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings

from access.models import BusinessSource
from dialects.stablediffusionapi.errors import WireError
from jobs.admission.textual_inversions import named_in
from models_registry.errors import ModelNotFound
from models_registry.models import Kind
from models_registry.selectors import resolve, styles_for

AGAINST = re.compile(
    r"neg|bad|worst|ugly", re.IGNORECASE
)  # what embeddings for the negative prompt are called


def words(values: dict[str, Any], source: BusinessSource) -> dict[str, Any]:
    """The fields of the canonical request. Raises WireError."""
    prompt, negative = values["prompt"] or "", values["negative_prompt"] or ""
    if values["enhance_prompt"] is not False:
        prompt, negative = _enhanced(prompt, negative, source)
    for name in _embeddings(values, source):
        if not named_in([prompt, negative], [name]):
            if AGAINST.search(name):
                negative = _joined(negative, name)
            else:
                prompt = _joined(prompt, name)
    return {"prompt": prompt, "negative_prompt": negative, "loras": _loras(values)}


def _enhanced(prompt: str, negative: str, source: BusinessSource) -> tuple[str, str]:
    """By the prompt style that ops keep for this; without one the words stay as they are."""
    style = styles_for(source).filter(name=settings.STABLEDIFFUSIONAPI_ENHANCE_STYLE).first()
    return style.applied(prompt, negative) if style else (prompt, negative)


def _embeddings(values: dict[str, Any], source: BusinessSource) -> list[str]:
    try:
        asked = [*(values["embeddings_model"] or []), *(values["embeddings"] or [])]
        return [resolve(Kind.EMBEDDING, name, source).name for name in asked]
    except ModelNotFound as error:
        raise WireError.invalid({"embeddings_model": [str(error)]}) from None


def _joined(text: str, word: str) -> str:
    return f"{text}, {word}" if text else word


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
