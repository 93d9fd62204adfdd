"""Tasks without a UNet: upscale, cut_out and control_map."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from gpu_runner.controlnet.preprocessors import network_registry, registry
from gpu_runner.imaging import images
from gpu_runner.imaging.images import InvalidImage, Size
from gpu_runner.imaging.matting import matte
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.loaded import LoadedUpscaler
from gpu_runner.networks.onnx_model import OnnxModel
from gpu_runner.networks.operations import OffloadedWork, Operation
from gpu_runner.protocol import RunRequest
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.generation_request import CutOut, GenerationRequest, Upscale
from gpu_runner.protocol.preprocessor_catalog import find
from gpu_runner.protocol.upscaler_catalog import NONE

from .denoising_loop import StopFlag
from .face_restoration import Patches, Restoration
from .generation import RawOutput, Task
from .init_image import Source
from .tiled_upscaling import MOST_PIXELS, enlarge, run_by_itself

MULTIPLE = 8  # to which sizes by a factor are rounded down


@dataclass(frozen=True)
class UpscalePlan:
    request: GenerationRequest
    upscale: Upscale
    sources: tuple[Source, ...]
    first: LoadedUpscaler | str
    second: LoadedUpscaler | str
    faces: Restoration | None = None  # of the enlarged pictures
    steps: int = 1  # a picture

    @classmethod
    def of(
        cls,
        request: GenerationRequest,
        upscale: Upscale,
        sources: tuple[Source, ...],
        first: LoadedUpscaler | str,
        second: LoadedUpscaler | str,
    ) -> UpscalePlan:
        """Raises BadPicture where a result would be too large, before anything is done."""
        for source in sources:
            enlarged_size(source.picture.size, upscale)
        return cls(request, upscale, sources, first, second)

    def begin(self, index: int, brake: StopFlag) -> Task:
        return _upscale(self, self.sources[index if len(self.sources) > 1 else 0].picture)


def _upscale(plan: UpscalePlan, picture: Image.Image) -> Task:
    """Interpolation needs no device: it is left for those who write the file."""
    interpolates = isinstance(plan.first, str) and isinstance(plan.second, str)
    if interpolates and plan.faces is None:
        return RawOutput(picture, lambda small: run_by_itself(_enlarged(plan, small)))
    if interpolates:
        large = yield OffloadedWork(lambda: run_by_itself(_enlarged(plan, picture)))
    else:
        large = yield from _enlarged(plan, picture)
    patches = (yield from plan.faces.patches(large)) if plan.faces else Patches()
    return RawOutput(large, patches.over)


def _enlarged(plan: UpscalePlan, picture: Image.Image) -> Generator[Operation, Any, Image.Image]:
    upscale = plan.upscale
    large = yield from _by(plan.first, picture, upscale)
    if plan.second == NONE or upscale.upscaler_2_visibility == 0:
        return large
    other = images.resize((yield from _by(plan.second, picture, upscale)), *large.size, "stretch")
    return Image.blend(large, other, upscale.upscaler_2_visibility)


def _by(
    upscaler: LoadedUpscaler | str, picture: Image.Image, upscale: Upscale
) -> Generator[Operation, Any, Image.Image]:
    if upscaler == NONE:
        return picture
    width, height = enlarged_size(picture.size, upscale)
    large = yield from enlarge(upscaler, picture, width, height)
    return (
        images.center_crop(large, upscale.width, upscale.height) if upscale.crop and upscale.width else large
    )


def enlarged_size(size: Size, upscale: Upscale) -> Size:
    """Before it is cut to the size asked for."""
    if upscale.width and upscale.height:
        width, height = images.cover_size(size, upscale.width, upscale.height)
    else:
        width, height = (max(MULTIPLE, int(side * upscale.scale) // MULTIPLE * MULTIPLE) for side in size)
    if width * height > MOST_PIXELS:
        raise InvalidImage(
            f"the enlarged picture would have {width}x{height} pixels, more than {MOST_PIXELS}"
        )
    return width, height


@dataclass(frozen=True)
class PrecomputedPlan:
    """One image for all outputs, or one each."""

    pictures: tuple[Image.Image, ...]
    steps: int = 1  # a picture

    def begin(self, index: int, brake: StopFlag) -> Task:
        return _precomputed(self.pictures[index if len(self.pictures) > 1 else 0])


def _precomputed(picture: Image.Image) -> Task:
    asks: Iterable[Operation] = ()
    yield from asks
    return RawOutput(picture)


def cut_out(
    request: GenerationRequest, part: CutOut, pictures: Sequence[Image.Image], model: OnnxModel
) -> PrecomputedPlan:
    """The foregrounds, white masks of them, or first the ones and then the others. Each image is matted once."""
    masks = [matte(model, picture) for picture in pictures]
    if part.mask_only:
        return PrecomputedPlan(tuple(masks))
    subjects = [_transparent(*pair) for pair in zip(pictures, masks, strict=True)]
    if not part.with_mask:
        return PrecomputedPlan(tuple(subjects))
    times = request.num_images // len(pictures)  # one init image for all, or one each
    return PrecomputedPlan(tuple(subjects * times + masks * times))


def _transparent(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """RGBA, with the mask as its alpha channel."""
    subject = picture.convert("RGBA")
    subject.putalpha(mask)
    return subject


def control_map(store: ModelStore, order: RunRequest, picture: Image.Image) -> Image.Image:
    """As the order's only unit has it drawn."""
    (asked,) = order.request.controls
    module = find(asked.module)
    if module is None or module.refused:
        raise InvalidRequest(f"there is no preprocessor {asked.module!r}")
    settings = module.settings(asked.processor_res, asked.threshold_a, asked.threshold_b)
    pixels = np.asarray(picture)
    if not module.weights:
        return Image.fromarray(registry.detect(module, pixels, settings))
    network = store.preprocessor(order.file("preprocessor", module.weights), module.name)
    return Image.fromarray(network_registry.detect(module, network, pixels, settings))
