"""Tasks that are done when their order is prepared: a subject cut out, or the map that a ControlNet would be shown.

Both may take longer than a step, and there they keep nobody from his steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from gpu_runner.controlnet.preprocessors import network_registry, registry
from gpu_runner.imaging.matting import matte
from gpu_runner.networks.operations import Ask
from gpu_runner.protocol.errors import BadOrder
from gpu_runner.protocol.preprocessor_catalog import find
from gpu_runner.tasks.denoising_loop import Brake
from gpu_runner.tasks.generation import Drawn, Task

if TYPE_CHECKING:
    from gpu_runner.models.store import ModelStore
    from gpu_runner.networks.onnx_model import OnnxModel
    from gpu_runner.protocol import RunOrder


@dataclass(frozen=True)
class ReadyPlan:
    """One picture for all, or one each."""

    pictures: tuple[Image.Image, ...]
    steps: int = 1  # a picture

    def begin(self, index: int, brake: Brake) -> Task:
        return _task(self.pictures[index if len(self.pictures) > 1 else 0])


def _task(picture: Image.Image) -> Task:
    asks: Iterable[Ask] = ()
    yield from asks
    return Drawn(picture)


def cut_out(picture: Image.Image, matting: OnnxModel, *, mask_only: bool) -> Image.Image:
    """The subject, and nothing behind it; or where it is, in white."""
    mask = matte(matting, picture)
    if mask_only:
        return mask
    subject = picture.convert("RGBA")
    subject.putalpha(mask)
    return subject


def control_map(store: ModelStore, order: RunOrder, picture: Image.Image) -> Image.Image:
    """As the order's only unit has it drawn."""
    (asked,) = order.request.controls
    module = find(asked.module)
    if module is None or module.refused:
        raise BadOrder(f"there is no preprocessor {asked.module!r}")
    settings = module.settings(asked.processor_res, asked.threshold_a, asked.threshold_b)
    pixels = np.asarray(picture)
    if not module.weights:
        return Image.fromarray(registry.detect(module, pixels, settings))
    network = store.preprocessor(order.file("preprocessor", module.weights), module.name)
    return Image.fromarray(network_registry.detect(module, network, pixels, settings))
