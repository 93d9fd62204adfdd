"""Architectures of upscalers by the names of their tensors: the conditions of spandrel, which builds the networks. No torch.

The table beside this module is written by ``python -m tests.support.upscaler_table``; a test compares it with spandrel's.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any


def architecture_of(names: Collection[str]) -> str:
    """The first architecture that matches; empty if none does. ``names``: without the prefix of a state dict."""
    return next((name for name, condition in _table().items() if _holds(condition, names)), "")


@cache
def _table() -> dict[str, Any]:
    return dict(json.loads(Path(__file__).with_suffix(".json").read_text()))


def _holds(condition: Any, names: Collection[str]) -> bool:
    if isinstance(condition, str):
        return condition in names
    kind, *parts = condition
    return (all if kind == "all" else any)(_holds(part, names) for part in parts)
