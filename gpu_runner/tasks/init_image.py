"""What a picture is drawn upon: the init image and its mask, made ready before the walk, and the paste-back after it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image, ImageOps

from gpu_runner.imaging import color_correction, images, masks
from gpu_runner.imaging.images import ResizeMode
from gpu_runner.imaging.masks import Box
from gpu_runner.protocol.generation_request import GenerationRequest, Inpaint

if TYPE_CHECKING:
    from torch import Tensor

    from gpu_runner.networks.operations import Operation

MOST_ENCODED = 2048 * 2048  # pixels of an init image that is resized as a latent
LEAST_SIDE = 16

Resize = Callable[[Image.Image, int, int, ResizeMode], Generator["Operation", Any, Image.Image]]


@dataclass(frozen=True)
class Source:
    """Pictures as the client sent them: the init image on its background, and the mask."""

    picture: Image.Image
    mask: Image.Image | None = None


@dataclass(frozen=True)
class Overlay:
    """The original, which comes back wherever its mask is not white. ``box`` is the part of it that was drawn."""

    original: Image.Image
    mask: Image.Image
    box: Box | None = None

    def over(self, drawn: Image.Image) -> Image.Image:
        return Image.composite(self.placed(drawn), self.original, self.mask)

    def placed(self, drawn: Image.Image) -> Image.Image:
        if self.box is None:
            return drawn
        left, top, right, bottom = self.box
        whole = self.original.copy()
        whole.paste(ImageOps.fit(drawn, (right - left, bottom - top), Image.Resampling.LANCZOS), (left, top))
        return whole


@dataclass(frozen=True)
class MaskOptions:
    """How the latents under a mask are treated; the fields of that name of request.Inpaint."""

    content: Literal["fill", "original", "noise", "nothing"] = "original"
    rounded: bool = True
    conditioning_weight: float = 1.0


@dataclass(frozen=True)
class Canvas:
    frame: Image.Image  # what is encoded
    mask: Image.Image | None = None  # over the frame; white is drawn anew
    overlay: Overlay | None = None
    options: MaskOptions = MaskOptions()
    corrects: bool = False

    @cached_property
    def pixels(self) -> Tensor:
        """One tensor for all pictures that are drawn upon it: they are encoded once."""
        return images.to_tensor(self.frame)

    def finish(self, drawn: Image.Image) -> Image.Image:
        if self.corrects:
            drawn = color_correction.match_colors(drawn, self.frame)
        return self.overlay.over(drawn) if self.overlay else drawn


def compose(request: GenerationRequest, source: Source, resize: Resize) -> Generator[Operation, Any, Canvas]:
    """``resize`` is a generator because an upscaler may have to be asked."""
    if request.inpaint is None or source.mask is None:
        return (yield from _plain(request, source.picture, resize))
    mask = masks.prepare(source.mask, request.inpaint)
    if not request.inpaint.only_masked:
        return (yield from _whole(request, request.inpaint, source.picture, mask, resize))
    return (yield from _part(request, request.inpaint, source.picture, mask, resize))


def _plain(
    request: GenerationRequest, picture: Image.Image, resize: Resize
) -> Generator[Operation, Any, Canvas]:
    if request.resize_mode == "latent":
        frame = _encodable(picture)
        return Canvas(frame, corrects=request.colour_correction)
    frame = yield from resize(picture, request.width, request.height, request.resize_mode)
    return Canvas(frame, corrects=request.colour_correction)


def _encodable(picture: Image.Image) -> Image.Image:
    """As it is, but for a picture that is larger than memory should be asked for, or smaller than a latent pixel."""
    picture = images.limit_pixels(picture, MOST_ENCODED)
    width, height = max(picture.width, LEAST_SIDE), max(picture.height, LEAST_SIDE)
    return images.resize(picture, width, height, "stretch")


def _whole(
    request: GenerationRequest, inpaint: Inpaint, picture: Image.Image, mask: Image.Image, resize: Resize
) -> Generator[Operation, Any, Canvas]:
    mode: ResizeMode = "stretch" if request.resize_mode == "latent" else request.resize_mode
    frame = yield from resize(picture, request.width, request.height, mode)
    mask = images.resize(mask, request.width, request.height, mode)
    overlay = Overlay(frame, masks.double_opacity(mask)) if inpaint.overlay else None
    return _masked(request, inpaint, frame, mask, overlay)


def _part(
    request: GenerationRequest, inpaint: Inpaint, picture: Image.Image, mask: Image.Image, resize: Resize
) -> Generator[Operation, Any, Canvas]:
    mask = images.resize(mask, *picture.size, "stretch")
    box = masks.crop_box(mask, inpaint.padding, request.width, request.height)
    if box is None:
        return (yield from _plain(request, picture, resize))
    frame = yield from resize(picture.crop(box), request.width, request.height, "fill")
    near = images.resize(mask.crop(box), request.width, request.height, "fill")
    overlay = Overlay(picture, mask, box) if inpaint.overlay else None
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
