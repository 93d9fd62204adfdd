"""An order's pictures, made ready before they are sent, and what is done to the drawn one afterwards."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from gpu_runner.controlnet.preprocessors import registry
from gpu_runner.controlnet.preprocessors.resize import fit, perfect_resolution
from gpu_runner.imaging import images
from gpu_runner.imaging.images import ResizeMode
from gpu_runner.protocol import GenerationRequest, RunRequest
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.generation_request import ControlUnit
from gpu_runner.protocol.preprocessor_catalog import find
from gpu_runner.protocol.workflows.node_names import DRAWN_MODULES
from gpu_runner.tasks import change_background
from gpu_runner.tasks.init_image import Canvas, compose
from gpu_runner.tasks.preparation.input_images import opened, read_sources

LATENT_PIXEL = 8


@dataclass(frozen=True)
class Stage:
    """Of one init image: what is sent, and the way back."""

    canvas: Canvas | None
    controls: tuple[Image.Image, ...] = ()

    @property
    def mask(self) -> Image.Image | None:
        """Where it is rounded, a pixel of the latent is wholly masked or not at all."""
        if self.canvas is None or self.canvas.mask is None:
            return None
        return on_grid(self.canvas.mask) if self.canvas.options.rounded else self.canvas.mask

    def finish(self, drawn: Image.Image) -> Image.Image:
        return self.canvas.finish(drawn) if self.canvas else drawn


def on_grid(mask: Image.Image) -> Image.Image:
    small = mask.resize((mask.width // LATENT_PIXEL, mask.height // LATENT_PIXEL), Image.Resampling.BICUBIC)
    return small.point([255 * (level > 127) for level in range(256)]).resize(
        mask.size, Image.Resampling.NEAREST
    )


def stages(order: RunRequest) -> list[Stage]:
    """One for each init image; one alone where there is none. Raises BadOrder or BadPicture."""
    request = order.request
    if request.change_background is not None:
        canvases = _backdrops(order)
    else:
        canvases = [_composed(request, source) for source in read_sources(order)]
    return [Stage(canvas, _maps(order, canvas)) for canvas in canvases or [None]]


def _backdrops(order: RunRequest) -> list[Canvas | None]:
    request, part = order.request, order.request.change_background
    assert part is not None
    mask = opened(order, part.mask) if part.mask else None
    made: dict[str, Canvas] = {}
    for picture in request.init_images:
        if picture.sha256 not in made:
            product = change_background.cut_out(opened(order, picture), mask, part, request.background, None)
            made[picture.sha256] = change_background.canvas(request, part, product)
    return [made[picture.sha256] for picture in request.init_images]


def _composed(request: GenerationRequest, source: Any) -> Canvas:
    composing = compose(request, source, _resize)
    try:
        next(composing)
    except StopIteration as done:
        canvas: Canvas = done.value
        return canvas
    raise InvalidRequest("this resize mode needs a device")


def _resize(
    picture: Image.Image, width: int, height: int, mode: ResizeMode
) -> Generator[Any, Any, Image.Image]:
    return images.resize(picture, width, height, mode)
    yield  # a generator, as the engine's ways of enlarging are


def _maps(order: RunRequest, canvas: Canvas | None) -> tuple[Image.Image, ...]:
    return tuple(_map(order, unit, canvas) for unit in order.request.controls)


def _map(order: RunRequest, unit: ControlUnit, canvas: Canvas | None) -> Image.Image:
    """Drawn here where that needs no network; else the picture, which a node draws the map from."""
    request = order.request
    if unit.image is not None:
        picture = images.flatten(opened(order, unit.image), request.background)
    elif canvas is not None:
        picture = canvas.frame
    else:
        raise InvalidRequest("a control unit has no picture, and there is no init image")
    mode: ResizeMode = unit.resize_mode if unit.image else "stretch"
    pixels = np.asarray(picture.convert("RGB"))
    if unit.module in DRAWN_MODULES and (module := find(unit.module)):
        wanted = unit.processor_res
        if unit.pixel_perfect:
            wanted = perfect_resolution(pixels, request.width, request.height, mode)
        pixels = registry.detect(module, pixels, module.settings(wanted, unit.threshold_a, unit.threshold_b))
    return Image.fromarray(fit(pixels, request.width, request.height, mode))
