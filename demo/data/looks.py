"""Looks of scenes (palette and fill), of the demo checkpoint and of the models derived from it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from demo.data.shapes import PALETTE


@dataclass(frozen=True, eq=False)
class Look:
    name: str
    palette: Tensor = PALETTE  # (8, 3): RGB from 0 to 1 per name in COLOR_NAMES
    ring: float = 0.0  # width of the outline, as a share of the radius; 0: filled shapes

    @property
    def suffix(self) -> str:
        return f"{self.name}-" if self.name else ""


PLAIN = Look("")
PASTEL = Look("pastel", palette=0.5 + 0.5 * PALETTE)
NIGHT = Look("night", palette=0.4 * PALETTE)
RINGS = Look("rings", ring=0.35)
LOOKS = {look.name: look for look in (PASTEL, NIGHT, RINGS)}
