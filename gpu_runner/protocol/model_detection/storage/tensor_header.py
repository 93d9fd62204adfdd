"""Names, shapes and metadata of a model file as its readers present them, whatever the weights are stored as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Shape = tuple[int, ...]

MAX_TENSORS = 100_000


@dataclass(frozen=True)
class TensorHeader:
    """The tensors of a file after decoding: quantized weights have the shape of what they stand for.

    ``problem`` is the reason for which the weights cannot be decoded; empty if they can.
    """

    shapes: dict[str, Shape]
    metadata: dict[str, str]
    problem: str = ""
    scales: Mapping[str, str] = field(default_factory=dict)  # weight -> the tensor that it is multiplied by


def check_number(tensors: int) -> None:
    """Raises ValueError if a file has too many tensors."""
    if tensors > MAX_TENSORS:
        raise ValueError(f"a model file may have at most {MAX_TENSORS} tensors (got {tensors})")
