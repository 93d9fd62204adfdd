"""Tasks that are done when their order is prepared: a subject cut out, or the map that a ControlNet would be shown.

Both may take longer than a step, and there they keep nobody from his steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from gpu_runner.asks import Ask
from gpu_runner.errors import BadOrder
from gpu_runner.matting import matte
from gpu_runner.preprocessors import drawing, networks
from gpu_runner.preprocessors.catalogue import find
from gpu_runner.request import CutOut, GenerationRequest
from gpu_runner.tasks import Drawn, Task
from gpu_runner.walking import Brake

if TYPE_CHECKING:
    from gpu_runner.models import ModelStore
    from gpu_runner.onnx_models import OnnxModel
    from gpu_runner.protocol import RunOrder


@dataclass(frozen=True)
class ReadyPlan:
    """One picture for all outputs, or one each."""

    pictures: tuple[Image.Image, ...]
    steps: int = 1  # a picture

    def begin(self, index: int, brake: Brake) -> Task:
        return _task(self.pictures[index if len(self.pictures) > 1 else 0])


def _task(picture: Image.Image) -> Task:
    asks: Iterable[Ask] = ()
    yield from asks
    return Drawn(picture)


def cut_out(
    request: GenerationRequest, part: CutOut, pictures: Sequence[Image.Image], model: OnnxModel
) -> ReadyPlan:
    """The foregrounds, white masks of them, or first the ones and then the others. Each picture is matted once."""
    masks = [matte(model, picture) for picture in pictures]
    if part.mask_only:
        return ReadyPlan(tuple(masks))
    subjects = [_transparent(*pair) for pair in zip(pictures, masks, strict=True)]
    if not part.with_mask:
        return ReadyPlan(tuple(subjects))
    times = request.num_images // len(pictures)  # one init image for all, or one each
    return ReadyPlan(tuple(subjects * times + masks * times))


def _transparent(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """RGBA, with the mask as its alpha channel."""
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
        return Image.fromarray(drawing.detect(module, pixels, settings))
    network = store.preprocessor(order.file("preprocessor", module.weights), module.name)
    return Image.fromarray(networks.detect(module, network, pixels, settings))
