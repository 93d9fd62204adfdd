"""The saved state of a training, from which a later attempt resumes."""

from __future__ import annotations

import logging
import pickle
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)

FILE = "state.pt"


@dataclass
class TrainingState:
    """Adapters and optimizer after ``step`` steps. What the steps draw at random depends on seed and step only."""

    step: int = 0
    adapters: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())  # of the first attempt

    def save(self, folder: Path) -> None:
        """Replace the state in the folder atomically."""
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{FILE}.part"
        torch.save(vars(self), part)
        part.replace(folder / FILE)


def load(folder: Path) -> TrainingState:
    """The saved state, or a new one if there is none or it is damaged."""
    try:
        content = torch.load(folder / FILE, map_location="cpu", weights_only=True)
        return TrainingState(**content)
    except FileNotFoundError:
        return TrainingState()
    except (OSError, RuntimeError, EOFError, TypeError, pickle.UnpicklingError) as error:
        log.warning("the saved state in %s cannot be used: %s", folder, error)
        return TrainingState()
