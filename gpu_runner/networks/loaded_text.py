"""A text encoder that was loaded from a file of its own."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, eq=False)
class LoadedTextEncoder:
    """``kind`` is that of a family's TextPart."""

    key: str  # the file's SHA-256
    kind: str
    module: nn.Module
    size_bytes: int
