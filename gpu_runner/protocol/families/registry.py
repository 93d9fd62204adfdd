"""All families by their name in the registry. No torch."""

from __future__ import annotations

from .family import Family
from .stable_diffusion import SD2, SD15, SDXL
from .transformers import CHROMA, FLUX1, FLUX2, QWEN_IMAGE, SD3, Z_IMAGE

FAMILIES: dict[str, Family] = {
    family.name: family for family in (SD15, SD2, SDXL, SD3, Z_IMAGE, FLUX1, CHROMA, FLUX2, QWEN_IMAGE)
}
DRAWN = tuple(name for name, family in FAMILIES.items() if family.is_drawn)


def family_of(name: str) -> Family:
    """Return a family. Raises KeyError for unknown names."""
    return FAMILIES[name]
