"""How scenes look: the demo model's own look, and those that its relatives were trained on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from demo.shapes import PALETTE


@dataclass(frozen=True, eq=False)
class Look:
    name: str
    palette: Tensor = PALETTE  # (8, 3): what each colour's word looks like
    ring: float = 0.0  # 0: shapes are filled

    @property
    def suffix(self) -> str:
        return f"{self.name}-" if self.name else ""


PLAIN = Look("")
PASTEL = Look("pastel", palette=0.5 + 0.5 * PALETTE)
NIGHT = Look("night", palette=0.4 * PALETTE)
RINGS = Look("rings", ring=0.35)
LOOKS = {look.name: look for look in (PASTEL, NIGHT, RINGS)}
