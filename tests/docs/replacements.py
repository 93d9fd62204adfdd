"""Replacement of several texts at once."""

from __future__ import annotations

import re
from collections.abc import Mapping


def replaced(text: str, replacements: Mapping[str, str]) -> str:
    """Replace each key by its value; the longest key that matches. What was inserted is not replaced again."""
    keys = sorted(replacements, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, keys)), lambda found: replacements[found[0]], text)
