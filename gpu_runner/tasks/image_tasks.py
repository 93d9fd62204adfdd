"""Tasks without a UNet: upscale, cut_out and control_map."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from gpu_runner.controlnet.preprocessors import network_registry, openpose, registry
from gpu_runner.imaging import alpha_matting, images
from gpu_runner.imaging.images import InvalidImage, Size
from gpu_runner.imaging.matting import matte, transparent
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.loaded import LoadedUpscaler
from gpu_runner.networks.onnx_model import OnnxModel
from gpu_runner.networks.operations import OffloadedWork, Operation
from gpu_runner.protocol import Finding, RunRequest
from gpu_runner.protocol.catalogs.preprocessors import Module, ModuleSettings, find
from gpu_runner.protocol.catalogs.upscalers import NONE
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.findings import PosesFound
from gpu_runner.protocol.generation_request import GenerationRequest
from gpu_runner.protocol.request_parts.backgrounds import CutOut
from gpu_runner.protocol.request_parts.upscaling import Upscale

from .denoising_loop import StopFlag
from .face_restoration import Patches, Restoration
from .generation import RawOutput, Task
from .init_image import Source
from .tiled_upscaling import MAX_PIXELS, enlarge, run_without_device

MULTIPLE = 8  # sizes computed from a scale factor are rounded down to this multiple


@dataclass(frozen=True)
class UpscalePlan:
    """Upscaling by one upscaler, or by two whose results are blended."""

    request: GenerationRequest
    upscale: Upscale
    sources: tuple[Source, ...]
    first: LoadedUpscaler | str
    second: LoadedUpscaler | str
    faces: Restoration | None = None  # applied to the enlarged images
    steps: int = 1  # per image

    @classmethod
    def of(
        cls,
        request: GenerationRequest,
        upscale: Upscale,
        sources: tuple[Source, ...],
        first: LoadedUpscaler | str,
        second: LoadedUpscaler | str,
    ) -> UpscalePlan:
        """Build the plan. Raises InvalidImage if a result would exceed MAX_PIXELS."""
        for source in sources:
            enlarged_size(source.image.size, upscale)
        return cls(request, upscale, sources, first, second)

    def begin(self, index: int, stop_flag: StopFlag) -> Task:
        return _upscale(self, self.sources[index if len(self.sources) > 1 else 0].image)


def _upscale(plan: UpscalePlan, image: Image.Image) -> Task:
    """Upscale one image. Interpolation needs no device and runs on the thread that writes the file."""
    interpolates = isinstance(plan.first, str) and isinstance(plan.second, str)
    if interpolates and plan.faces is None:
        return RawOutput(image, lambda small: run_without_device(_enlarged(plan, small)))
    if interpolates:
        large = yield OffloadedWork(lambda: run_without_device(_enlarged(plan, image)))
    else:
        large = yield from _enlarged(plan, image)
    opaque = large.convert("RGB")
    patches = (yield from plan.faces.patches(opaque)) if plan.faces else Patches()
    return RawOutput(opaque, lambda image: _with_alpha_of(large, patches.over(image)))


def _with_alpha_of(image: Image.Image, opaque: Image.Image) -> Image.Image:
    if image.mode == "RGBA":
        opaque.putalpha(image.getchannel("A"))
    return opaque


def _enlarged(plan: UpscalePlan, image: Image.Image) -> Generator[Operation, Any, Image.Image]:
    upscale = plan.upscale
    large = yield from _upscale_with(plan.first, image, upscale)
    if plan.second == NONE or upscale.upscaler_2_visibility == 0:
        return large
    other = images.resize((yield from _upscale_with(plan.second, image, upscale)), *large.size, "stretch")
    return Image.blend(large, other, upscale.upscaler_2_visibility)


def _upscale_with(
    upscaler: LoadedUpscaler | str, image: Image.Image, upscale: Upscale
) -> Generator[Operation, Any, Image.Image]:
    if upscaler == NONE:
        return image
    width, height = enlarged_size(image.size, upscale)
    if isinstance(upscaler, str) or image.mode != "RGBA":
        large = yield from enlarge(upscaler, image, width, height)
    else:  # models have three channels
        large = yield from enlarge(upscaler, image.convert("RGB"), width, height)
        large.putalpha(image.getchannel("A").resize((width, height), Image.Resampling.LANCZOS))
    return (
        images.center_crop(large, upscale.width, upscale.height) if upscale.crop and upscale.width else large
    )


def enlarged_size(size: Size, upscale: Upscale) -> Size:
    """Return the enlarged size before cropping. Raises InvalidImage above MAX_PIXELS."""
    if upscale.width and upscale.height:
        width, height = images.cover_size(size, upscale.width, upscale.height)
    else:
        width, height = (max(MULTIPLE, int(side * upscale.scale) // MULTIPLE * MULTIPLE) for side in size)
    if width * height > MAX_PIXELS:
        raise InvalidImage(f"the enlarged image must have at most {MAX_PIXELS} pixels (got {width}x{height})")
    return width, height


@dataclass(frozen=True)
class PrecomputedPlan:
    """Plan with finished images: one for all outputs, or one each."""

    outputs: tuple[Image.Image, ...]
    steps: int = 1  # per image

    def begin(self, index: int, stop_flag: StopFlag) -> Task:
        return _precomputed(self.outputs[index if len(self.outputs) > 1 else 0])


def _precomputed(image: Image.Image) -> Task:
    operations: Iterable[Operation] = ()
    yield from operations
    return RawOutput(image)


def cut_out(
    request: GenerationRequest, part: CutOut, init_images: Sequence[Image.Image], model: OnnxModel
) -> PrecomputedPlan:
    """Return the foregrounds, the masks (white on the foreground), or all foregrounds followed by all masks.

    Each init image is matted once.
    """
    masks = [_mask(part, model, image) for image in init_images]
    if part.mask_only:
        return PrecomputedPlan(tuple(masks))
    subjects = [_transparent(part, *pair) for pair in zip(init_images, masks, strict=True)]
    if not part.with_mask:
        return PrecomputedPlan(tuple(subjects))
    times = request.num_images // len(init_images)  # one init image for all, or one each
    return PrecomputedPlan(tuple(subjects * times + masks * times))


def _mask(part: CutOut, model: OnnxModel, image: Image.Image) -> Image.Image:
    """Return the mask of what is kept. The steps are in the order of rembg."""
    mask = matte(model, image)
    if part.post_process_mask:
        mask = alpha_matting.post_processed(mask)
    if part.alpha_matting is not None:
        mask = alpha_matting.refined(image, mask, part.alpha_matting)
    return ImageOps.invert(mask) if part.invert else mask


def _transparent(part: CutOut, image: Image.Image, mask: Image.Image) -> Image.Image:
    """Return the image as RGBA with the mask as alpha channel."""
    if part.alpha_matting is not None:
        image = alpha_matting.foreground_colors(image, mask)
    return transparent(image, mask)


def control_map(store: ModelStore, run_request: RunRequest, image: Image.Image) -> Image.Image:
    """Return the control map of the request's only unit. Raises InvalidRequest."""
    module, settings = _preprocessor(run_request)
    pixels = np.asarray(image)
    if not module.weights:
        return Image.fromarray(registry.detect(module, pixels, settings))
    network = store.preprocessor(run_request.file("preprocessor", module.weights), module.name)
    return Image.fromarray(network_registry.detect(module, network, pixels, settings))


def pose_finder(store: ModelStore, run_request: RunRequest) -> Callable[[Image.Image], Finding] | None:
    """Return the detector of the request's only unit; None if its preprocessor finds no poses. Raises InvalidRequest."""
    module, settings = _preprocessor(run_request)
    if not module.finds_poses:
        return None
    network = store.preprocessor(run_request.file("preprocessor", module.weights), module.name)
    return lambda image: network_registry.find_poses(module, network, np.asarray(image), settings)


def pose_maps(image: Image.Image, finding: Finding) -> list[Image.Image]:
    """Return the control map of the poses that were found in the image."""
    return [openpose.draw(finding)] if isinstance(finding, PosesFound) else []


def _preprocessor(run_request: RunRequest) -> tuple[Module, ModuleSettings]:
    (unit,) = run_request.request.controls
    module = find(unit.module)
    if module is None or module.refused:
        raise InvalidRequest(f"unknown preprocessor {unit.module!r}")
    return module, module.settings(unit.processor_res, unit.threshold_a, unit.threshold_b)
