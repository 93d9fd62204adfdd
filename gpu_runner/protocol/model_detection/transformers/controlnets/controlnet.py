"""What the recognition of a ControlNet of diffusion transformers needs to know, besides its transformer blocks. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gpu_runner.protocol.model_detection.transformers.key_map import BARE, Rule, Stack, rule
from gpu_runner.protocol.model_detection.transformers.transformer import Config, Transformer

# Whether a ControlNet reads the area to repaint: not at all, only together with it, or beside its control image.
MaskUse = Literal["", "needed", "optional"]

__all__ = ["BARE", "Config", "ControlNet", "MaskUse", "outputs"]


@dataclass(frozen=True)
class ControlNet(Transformer):
    """A ControlNet. ``detail`` tells ``residuals`` (number of outputs), ``modes`` (of a union) and ``mask`` (MaskUse)."""


def outputs(name: str, *, optional: bool = False) -> Stack:
    """The zero layers of the outputs, numbered like the blocks that they follow."""
    layer: tuple[Rule, ...] = (rule(""),)
    return Stack(name, name, layer, optional)
