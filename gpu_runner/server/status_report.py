"""What a backend tells about itself. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gpu_runner.protocol import LoadedModel


@dataclass(frozen=True)
class Report:
    device: str
    backend: Literal["pipeline", "comfyui"] = "pipeline"
    version: str = ""  # empty: this package's own
    loaded: tuple[LoadedModel, ...] = ()
    memory_bytes: int = 0
    steps_total: int = 0
    calls_total: int = 0
    rows_total: int = 0
    loads_total: int = 0
    problem: str = ""
    inventory: str = ""
