"""Resumable training: one file with weights, optimizer and step, replaced atomically."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

RUNS = Path(os.environ.get("DEMO_RUNS", Path(__file__).parents[1] / "runs"))


def save(path: Path, state: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def load(path: Path) -> dict[str, Any] | None:
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None


def steps_from(start: int, total: int) -> Iterator[tuple[int, float]]:
    """Yield (step, share of the peak learning rate): a warm-up of 100 steps, then a cosine decay to 2 %."""
    for step in range(start, total):
        warm_up = min(1.0, (step + 1) / 100)
        yield (
            step,
            warm_up * (0.02 + 0.98 * 0.5 * (1 + torch.cos(torch.tensor(step / total * torch.pi)).item())),
        )
