"""Prepares the input images of a job for upload, and pastes the outputs back."""

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
from gpu_runner.protocol.catalogs.preprocessors import find
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.workflows.node_names import LOCAL_MODULES
from gpu_runner.tasks import change_background
from gpu_runner.tasks.init_image import Canvas, compose
from gpu_runner.tasks.preparation.input_images import decode_image, read_sources

LATENT_SCALE = 8


@dataclass(frozen=True)
class ImageSet:
    """Images to upload for one init image: canvas and control maps."""

    canvas: Canvas | None
    controls: tuple[Image.Image, ...] = ()

    @property
    def mask(self) -> Image.Image | None:
        """The mask to upload, rounded on the latent grid unless ``rounded`` is off."""
        if self.canvas is None or self.canvas.mask is None:
            return None
        return round_to_latent_grid(self.canvas.mask) if self.canvas.options.rounded else self.canvas.mask

    def finish(self, generated: Image.Image) -> Image.Image:
        """Return the output: the generated image, pasted into the init image where needed."""
        return self.canvas.finish(generated) if self.canvas else generated


def round_to_latent_grid(mask: Image.Image) -> Image.Image:
    """Return the mask with every cell of 8 x 8 pixels either black or white."""
    small = mask.resize((mask.width // LATENT_SCALE, mask.height // LATENT_SCALE), Image.Resampling.BICUBIC)
    return small.point([255 * (level > 127) for level in range(256)]).resize(
        mask.size, Image.Resampling.NEAREST
    )


def references(run_request: RunRequest) -> list[Image.Image]:
    """Return the images that the model looks at, upright and otherwise as they are. Raises InvalidImage."""
    return [decode_image(run_request, image) for image in run_request.request.images]


def image_sets(run_request: RunRequest) -> list[ImageSet]:
    """Return one image set per init image, or a single one without. Raises InvalidRequest or InvalidImage."""
    request = run_request.request
    if request.change_background is not None:
        canvases = _backdrops(run_request)
    else:
        canvases = [_composed(request, source) for source in read_sources(run_request)]
    return [ImageSet(canvas, _maps(run_request, canvas)) for canvas in canvases or [None]]


def _backdrops(run_request: RunRequest) -> list[Canvas | None]:
    request, part = run_request.request, run_request.request.change_background
    assert part is not None
    mask = decode_image(run_request, part.mask) if part.mask else None
    canvas_of: dict[str, Canvas] = {}
    for image in request.init_images:
        if image.sha256 not in canvas_of:
            product = change_background.cut_out(
                decode_image(run_request, image), mask, part, request.background, None
            )
            canvas_of[image.sha256] = change_background.canvas(request, part, product)
    return [canvas_of[image.sha256] for image in request.init_images]


def _composed(request: GenerationRequest, source: Any) -> Canvas:
    composing = compose(request, source, _resize)
    try:
        next(composing)
    except StopIteration as done:
        canvas: Canvas = done.value
        return canvas
    raise InvalidRequest("resize_mode latent is not supported on ComfyUI runners")


def _resize(
    image: Image.Image, width: int, height: int, mode: ResizeMode
) -> Generator[Any, Any, Image.Image]:
    return images.resize(image, width, height, mode)
    yield  # a generator, like the resize functions of the engine


def _maps(run_request: RunRequest, canvas: Canvas | None) -> tuple[Image.Image, ...]:
    return tuple(_map(run_request, unit, canvas) for unit in run_request.request.controls)


def _map(run_request: RunRequest, unit: ControlUnit, canvas: Canvas | None) -> Image.Image:
    """Return the control map, or the image itself if a node computes the map."""
    request = run_request.request
    if unit.image is not None:
        image = images.flatten(decode_image(run_request, unit.image), request.background)
    elif canvas is not None:
        image = canvas.frame
    else:
        raise InvalidRequest("controls: image is required for a unit of a request without init image")
    mode: ResizeMode = unit.resize_mode if unit.image else "stretch"
    pixels = np.asarray(image.convert("RGB"))
    if unit.module in LOCAL_MODULES and (module := find(unit.module)):
        wanted = unit.processor_res
        if unit.pixel_perfect:
            wanted = perfect_resolution(pixels, request.width, request.height, mode)
        pixels = registry.detect(module, pixels, module.settings(wanted, unit.threshold_a, unit.threshold_b))
    return Image.fromarray(fit(pixels, request.width, request.height, mode))
