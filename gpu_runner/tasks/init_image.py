"""Init image and mask of img2img and inpainting: preparation before denoising, and paste-back after it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from gpu_runner.imaging import color_correction, images, masks
from gpu_runner.imaging.images import ResizeMode
from gpu_runner.imaging.masks import Box
from gpu_runner.imaging.scaled_image import ScaledImage
from gpu_runner.protocol.generation_request import GenerationRequest
from gpu_runner.protocol.request_parts.passes import Inpaint

if TYPE_CHECKING:
    from torch import Tensor

    from gpu_runner.networks.operations import Operation

MAX_ENCODED_PIXELS = 2048 * 2048  # pixels of an init image that is resized as a latent (resize mode latent)
MIN_SIDE = 16

Content = Literal["fill", "original", "noise", "nothing"]
Resize = Callable[[Image.Image, int, int, ResizeMode], Generator["Operation", Any, Image.Image]]


@dataclass(frozen=True)
class Source:
    """Input images of the client: the init image, flattened on the background color unless it is upscaled, and the mask."""

    image: Image.Image
    mask: Image.Image | None = None


@dataclass(frozen=True)
class Overlay:
    """The original image, restored where the mask is black; ``box`` is the region that was generated."""

    original: Image.Image
    mask: Image.Image
    box: Box | None = None

    def over(self, generated: Image.Image) -> Image.Image:
        return Image.composite(self.placed(generated), self.original, self.mask)

    def placed(self, generated: Image.Image) -> Image.Image:
        if self.box is None:
            return generated
        left, top, right, bottom = self.box
        whole = self.original.copy()
        whole.paste(images.resize(generated, right - left, bottom - top, "crop"), (left, top))
        return whole


@dataclass(frozen=True)
class MaskOptions:
    """Treatment of the masked latents; the fields correspond to those of ``request_parts.passes.Inpaint``."""

    content: Content = "original"
    rounded: bool = True
    conditioning_weight: float = 1.0


@dataclass(frozen=True)
class Canvas:
    """Prepared input of img2img or inpainting."""

    frame: Image.Image  # encoded by the VAE
    mask: Image.Image | None = None  # same size as the frame; white is inpainted
    overlay: Overlay | None = None
    options: MaskOptions = MaskOptions()
    corrects: bool = False
    original: Image.Image | None = None  # the whole init image, where the frame is that of another shape

    @cached_property
    def pixels(self) -> Tensor:
        """Pixels of the frame. All images of this canvas share the tensor, so that it is encoded once."""
        return images.to_tensor(self.frame)

    def reference(self, *, starts_from_noise: bool) -> ScaledImage:
        """What a family that edits by instruction reads: the init image in its own shape where nothing is drawn over it,
        else the frame.
        """
        return self._original_in_sizes if starts_from_noise else self._frame_in_sizes

    @cached_property
    def _frame_in_sizes(self) -> ScaledImage:
        return ScaledImage(self.frame)

    @cached_property
    def _original_in_sizes(self) -> ScaledImage:
        return self._frame_in_sizes if self.original is None else ScaledImage(self.original)

    def finish(self, generated: Image.Image) -> Image.Image:
        if self.corrects:
            generated = color_correction.match_colors(generated, self.frame)
        return self.overlay.over(generated) if self.overlay else generated


def compose(request: GenerationRequest, source: Source, resize: Resize) -> Generator[Operation, Any, Canvas]:
    """Build the canvas. ``resize`` is a generator because it may yield upscaler operations."""
    if request.inpaint is None or source.mask is None:
        return (yield from _plain(request, source.image, resize))
    mask = masks.prepare(source.mask, request.inpaint)
    if not request.inpaint.only_masked:
        return (yield from _whole(request, request.inpaint, source.image, mask, resize))
    return (yield from _part(request, request.inpaint, source.image, mask, resize))


def _plain(
    request: GenerationRequest, image: Image.Image, resize: Resize
) -> Generator[Operation, Any, Canvas]:
    if request.resize_mode == "latent":
        frame = _encodable(image)
        return Canvas(frame, corrects=request.colour_correction)
    frame = yield from resize(image, request.width, request.height, request.resize_mode)
    return Canvas(frame, corrects=request.colour_correction, original=image)


def _encodable(image: Image.Image) -> Image.Image:
    """Limit the image to MAX_ENCODED_PIXELS pixels, and stretch it to sides of at least MIN_SIDE."""
    image = images.limit_pixels(image, MAX_ENCODED_PIXELS)
    width, height = max(image.width, MIN_SIDE), max(image.height, MIN_SIDE)
    return images.resize(image, width, height, "stretch")


def _whole(
    request: GenerationRequest, inpaint: Inpaint, image: Image.Image, mask: Image.Image, resize: Resize
) -> Generator[Operation, Any, Canvas]:
    mode: ResizeMode = "stretch" if request.resize_mode == "latent" else request.resize_mode
    frame = yield from resize(image, request.width, request.height, mode)
    mask = images.resize(mask, request.width, request.height, mode)
    overlay = Overlay(frame, masks.double_opacity(mask)) if inpaint.overlay else None
    return _masked(request, inpaint, frame, mask, overlay)


def _part(
    request: GenerationRequest, inpaint: Inpaint, image: Image.Image, mask: Image.Image, resize: Resize
) -> Generator[Operation, Any, Canvas]:
    mask = images.resize(mask, *image.size, "stretch")
    box = masks.crop_box(mask, inpaint.padding, request.width, request.height)
    if box is None:
        return (yield from _plain(request, image, resize))
    frame = yield from resize(image.crop(box), request.width, request.height, "fill")
    near = images.resize(mask.crop(box), request.width, request.height, "fill")
    overlay = Overlay(image, mask, box) if inpaint.overlay else None
    return _masked(request, inpaint, frame, near, overlay)


def _masked(
    request: GenerationRequest,
    inpaint: Inpaint,
    frame: Image.Image,
    mask: Image.Image,
    overlay: Overlay | None,
) -> Canvas:
    if inpaint.content != "original":
        frame = masks.fill_masked(frame, mask)
    options = MaskOptions(inpaint.content, inpaint.rounded, inpaint.conditioning_weight)
    return Canvas(frame, mask, overlay, options, request.colour_correction)
