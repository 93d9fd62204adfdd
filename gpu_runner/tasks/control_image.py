"""The control image of checkpoints that read it with each token: FLUX.1 Canny and Depth."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from torch import Tensor

from gpu_runner.controlnet.units import PreparedUnit
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.operations import EncodeImage, Operation
from gpu_runner.protocol.errors import InvalidRequest

from .init_image import Canvas
from .instruct import init_image_latent


def channels(
    model: LoadedCheckpoint, units: Sequence[PreparedUnit], canvas: Canvas | None, latent: Tensor | None
) -> Generator[Operation, Any, Tensor]:
    """Latent of the map of the first unit without a ControlNet, else of the init image. Raises InvalidRequest."""
    unit = next((unit for unit in units if unit.model is None), None)
    if unit is not None:
        return (yield EncodeImage(model, unit.pixels))
    if canvas is None or latent is None:
        raise InvalidRequest(
            f"{model.facts.label} needs a control image: a control unit without a model, or an init image"
        )
    return (yield from init_image_latent(model, canvas, latent))
