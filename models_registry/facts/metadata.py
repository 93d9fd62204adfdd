"""Reads card and generation defaults from the metadata of a model file.

The keys are those of the ModelSpec (``modelspec.*``, https://github.com/Stability-AI/ModelSpec) and of kohya's training
scripts (``ss_*``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.families.registry import FAMILIES, family_of

from .card import MAX_TAG, MAX_TAGS, CommercialUse
from .generation_defaults import LARGEST, MAX_CLIP_SKIP, MULTIPLE, SMALLEST
from .variants import hinted_variant

CHECKPOINT, VARIANT = "checkpoint", "atelier.variant"
RESOLUTION = "modelspec.resolution"
WIDTH_AND_HEIGHT = re.compile(r"([0-9]{2,4})x([0-9]{2,4})")
# Card field -> the keys that state it, the first one that has a value counts; and the longest text that is stored.
TEXTS: dict[str, tuple[tuple[str, ...], int]] = {
    "description": (("modelspec.description", "ss_training_comment"), 10_000),
    "author": (("modelspec.author",), 200),
    "base": (("ss_sd_model_name", "ss_base_model_version"), 200),
    "licence": (("modelspec.license",), 200),
    "trigger_words": (("modelspec.trigger_phrase",), 500),
}
NOTHING = frozenset({"", "none", "null", "unknown"})  # as training scripts write an absent value
PERMISSIVE = re.compile(
    r"(apache|mit|(0?bsd)|isc|zlib|unlicense|cc0|(l|a)?gpl|mpl|cc[- ]by([- ]sa)?([- ][0-9.]+)?$"
    r"|(creativeml[- ])?(big(science|code)[- ])?open[- ]?rail)(\b|$|[+-])",
    re.IGNORECASE,
)
NON_COMMERCIAL = re.compile(r"non-?\s?commercial|\bnc\b|research[- ]only|by-nc", re.IGNORECASE)


def stated(metadata: Mapping[str, str], kind: str, family: str, name: str = "") -> dict[str, Any]:
    """Fields of a model file that its metadata states; those of a checkpoint's defaults also from its family.

    ``name`` may tell a variant that the tensors do not.

    Fields without a statement have their empty value, so that a file that was replaced does not keep the facts of the
    former one.
    """
    texts = {name: _text(metadata, keys)[:longest] for name, (keys, longest) in TEXTS.items()}
    facts: dict[str, Any] = {**texts, "tags": _tags(metadata.get("modelspec.tags", ""))}
    facts["commercial_use"] = commercial_use(texts["licence"])
    if kind == CHECKPOINT:
        told = str(metadata.get(VARIANT, ""))
        facts["variant"] = hinted_variant(metadata, family, told, name)
        facts |= _of_family(family, facts["variant"] or told)
        if size := stated_size(metadata):
            facts["default_width"], facts["default_height"] = size
        facts["default_clip_skip"] = _clip_skip(metadata)
    return facts


def _of_family(name: str, variant: str) -> dict[str, Any]:
    """Defaults of a family. Sampling is left to the dialects for diffusion models, which work with all of their defaults."""
    family = family_of(name, variant) if name in FAMILIES else None
    side = family.defaults.side if family else None
    flow = family.defaults if family and family.flow else None
    return {
        "default_width": side,
        "default_height": side,
        "default_steps": flow.steps if flow else None,
        "default_guidance_scale": flow.guidance if flow else None,
        "default_sampler": flow.sampler if flow else "",
        "default_scheduler": flow.scheduler if flow and flow.scheduler != sampler_catalog.AUTOMATIC else "",
    }


def stated_size(metadata: Mapping[str, str]) -> tuple[int, int] | None:
    """Width and height that the file states, if a request may have them."""
    found = WIDTH_AND_HEIGHT.fullmatch(str(metadata.get(RESOLUTION, "")).strip())
    if found is None:
        return None
    width, height = int(found[1]), int(found[2])
    allowed = all(SMALLEST <= side <= LARGEST and side % MULTIPLE == 0 for side in (width, height))
    return (width, height) if allowed else None


def commercial_use(licence: str) -> CommercialUse:
    """Whether a license permits commercial use. Only well-known licenses are recognized."""
    if NON_COMMERCIAL.search(licence):
        return CommercialUse.NO
    return CommercialUse.YES if PERMISSIVE.match(licence.strip()) else CommercialUse.UNKNOWN


def _text(metadata: Mapping[str, str], keys: tuple[str, ...]) -> str:
    values = (str(metadata.get(key, "")).strip() for key in keys)
    return next((value for value in values if value.lower() not in NOTHING), "")


def _tags(text: str) -> list[str]:
    words = (word.strip()[:MAX_TAG].strip() for word in text.split(","))
    return list(dict.fromkeys(word for word in words if word))[:MAX_TAGS]


def _clip_skip(metadata: Mapping[str, str]) -> int | None:
    """The text encoder's layer that the model was trained with, counted from the last one."""
    text = str(metadata.get("modelspec.encoder_layer", "")).strip()
    layer = int(text) if re.fullmatch(r"[0-9]{1,2}", text) else 0
    return layer if 1 <= layer <= MAX_CLIP_SKIP else None
