"""``lora_multipers`` (sic) and ``lora_map``: weights of the preset's LoRAs, by the names that clients use."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from dialects.volcengine.errors import ServiceError
from gpu_runner.protocol.request_parts.passes import LoraUse
from models_registry.models import StylePreset

from .json_body import Body

MIN_WEIGHT, MAX_WEIGHT = -2, 2


def read_loras(preset: StylePreset, body: Body) -> tuple[LoraUse, ...]:
    """LoRAs with their weights, -2 to 2. Weights of names that stand for one file are added; zeros are left out.

    Raises ServiceError 50200 for a name that the preset does not have.
    """
    files = {lora.name: lora.lora.name for lora in preset.loras.all()}
    weights = {lora.name: (lora.weight, lora.weight) for lora in preset.loras.all()}
    for name, (unet, text_encoder) in (_multipliers(body) | _map(body)).items():
        if name not in files:
            known = ", ".join(files) or "-"
            values = {"name": name[:100], "known": known}
            raise ServiceError(50200, _("unknown LoRA %(name)s; LoRAs of this style: %(known)s") % values)
        weights[name] = (unet, text_encoder)
    sums: dict[str, tuple[float, float]] = {}
    for name, (unet, text_encoder) in weights.items():
        known_unet, known_text = sums.get(files[name], (0.0, 0.0))
        sums[files[name]] = (known_unet + unet, known_text + text_encoder)
    return tuple(
        LoraUse(name=file, unet=unet, text_encoder=text)
        for file, (unet, text) in sums.items()
        if unet or text
    )


def _multipliers(body: Body) -> dict[str, tuple[float, float]]:
    part = body.part("lora_multipers")
    weights = {name: part.number(name, 0, MIN_WEIGHT, MAX_WEIGHT) for name, _value in part.items()}
    return {name: (weight, weight) for name, weight in weights.items()}


def _map(body: Body) -> dict[str, tuple[float, float]]:
    part = body.part("lora_map")
    return {name: _strengths(part.part(name)) for name, _value in part.items()}


def _strengths(part: Any) -> tuple[float, float]:
    return (
        part.number("strength_model", 1, MIN_WEIGHT, MAX_WEIGHT),
        part.number("strength_clip", 1, MIN_WEIGHT, MAX_WEIGHT),
    )
