"""All families by their name in the registry. No torch."""

from __future__ import annotations

from .family import Family
from .stable_diffusion import SD2, SD15, SDXL
from .transformers import (
    CHROMA,
    FLUX1,
    FLUX1_CONTROL,
    FLUX1_FILL,
    FLUX1_SCHNELL,
    FLUX2,
    QWEN_IMAGE,
    SD3,
    Z_IMAGE,
)

FAMILIES: dict[str, Family] = {
    family.name: family for family in (SD15, SD2, SDXL, SD3, Z_IMAGE, FLUX1, CHROMA, FLUX2, QWEN_IMAGE)
}
DRAWN = tuple(name for name, family in FAMILIES.items() if family.is_drawn)


# Variants of a family that differ from it, by the name of the variant in the registry.
VARIANTS: dict[tuple[str, str], Family] = {
    ("flux1", "schnell"): FLUX1_SCHNELL,
    ("flux1", "fill"): FLUX1_FILL,
    ("flux1", "control"): FLUX1_CONTROL,
}


def family_of(name: str, variant: str = "") -> Family:
    """Return a family, or what is true of one of its variants. Raises KeyError for unknown names."""
    return VARIANTS.get((name, variant)) or FAMILIES[name]
