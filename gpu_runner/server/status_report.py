"""Status of a backend. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gpu_runner.protocol import LoadedModel, ServerLoad


@dataclass(frozen=True)
class Report:
    """The fields of RunnerStatus that the backend knows."""

    device: str
    backend: Literal["pipeline", "comfyui", "training"] = "pipeline"
    version: str = ""  # empty: version of this package
    loaded: tuple[LoadedModel, ...] = ()
    memory_bytes: int = 0
    steps_total: int = 0
    calls_total: int = 0
    rows_total: int = 0
    loads_total: int = 0
    problem: str = ""
    inventory: str = ""
    server: ServerLoad | None = None
    credentials: str = ""
