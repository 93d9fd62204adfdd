"""Variants of a family that have the tensors of another model: what metadata and names say of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

# Metadata that name a model; of GGUF files too.
KEYS = (
    "modelspec.architecture",
    "modelspec.title",
    "ss_base_model_version",
    "general.name",
    "general.basename",
)
EDIT = r"qwen.*(?<![a-z])edit(?![a-z])"
# (family, variant that the tensors tell) -> variant and the pattern of its names, the first one that matches counts.
HINTS: dict[tuple[str, str], tuple[tuple[str, re.Pattern[str]], ...]] = {
    ("flux1", "dev"): (("kontext", re.compile("kontext")),),
    ("qwen_image", ""): (
        ("edit_2511", re.compile(f"{EDIT}.*2511")),
        ("edit_plus", re.compile(f"{EDIT}.*(2509|plus)")),
        ("edit", re.compile(EDIT)),
    ),
}


def hinted_variant(metadata: Mapping[str, str], family: str, told: str, name: str) -> str:
    """The variant that the metadata name, else the name of the file; empty for none.

    ``told``: the variant that the tensors tell. An operator can set another one, since names are no proof.
    """
    for text in (" ".join(str(metadata.get(key, "")) for key in KEYS), name):
        for variant, pattern in HINTS.get((family, told), ()):
            if pattern.search(text.lower()):
                return variant
    return ""
