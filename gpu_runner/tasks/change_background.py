"""A new background: the product is cut out, everything else is drawn anew around it, and the product's own pixels come back.

All of it but the drawing happens before the first step and after the last, beside the engine's thread.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageFilter, ImageOps

from gpu_runner.imaging import images, masks
from gpu_runner.imaging.images import InvalidImage, ResizeMode, Size
from gpu_runner.networks.onnx_model import OnnxModel
from gpu_runner.protocol.generation_request import ChangeBackground, GenerationRequest

from .init_image import Canvas, MaskOptions, Overlay

HALF = 128


@dataclass(frozen=True)
class Foreground:
    """A picture, and where in it the product is: white in the mask, which has the picture's size."""

    picture: Image.Image
    mask: Image.Image


def drawing_request(request: GenerationRequest) -> GenerationRequest:
    """The img2img that draws what is behind the product, upon canvases that have its mask; any other task is its own."""
    if request.change_background is None:
        return request
    return request.model_copy(update={"task": "img2img", "change_background": None})


def cut_out(
    picture: Image.Image,
    mask: Image.Image | None,
    part: ChangeBackground,
    background: str,
    matting: OnnxModel | None,
) -> Foreground:
    """From the client's files. Without a mask, a matting model or the picture's transparency tells what the product is."""
    flat = images.flatten(picture, background)
    if mask is not None:
        said = masks.from_image(mask, rounded=False).resize(picture.size, Image.Resampling.BILINEAR)
        return Foreground(flat, ImageOps.invert(said) if part.mask_invert else said)
    if matting is not None:
        from gpu_runner.imaging.matting import matte  # it stands on torch, and not every runner has that

        return Foreground(flat, matte(matting, flat))
    if picture.mode != "RGBA":
        raise InvalidImage("without a mask or matting, the product's picture must be transparent around it")
    return Foreground(flat, picture.getchannel("A"))


def canvas(request: GenerationRequest, part: ChangeBackground, product: Foreground) -> Canvas:
    """What the background is drawn upon, and how the product gets back into it."""
    placed = _placed(product, _output_size(request, part), request.resize_mode)
    rim = expanded(placed.mask, part.mask_expansion)
    _must_leave_both(rim)
    size = request.width, request.height
    behind = ImageOps.invert(rim.resize(size, Image.Resampling.BILINEAR))
    frame = placed.picture.resize(size, Image.Resampling.LANCZOS)
    if part.content != "original":
        frame = masks.fill_masked(frame, behind)
    shows_drawn = ImageOps.invert(rim.filter(ImageFilter.BoxBlur(part.feather)))
    overlay = Overlay(placed.picture, shows_drawn, (0, 0, *placed.picture.size))
    return Canvas(frame, behind, overlay, MaskOptions(part.content))


def expanded(mask: Image.Image, pixels: int) -> Image.Image:
    """Black and white, grown by so many pixels to every side, or shrunk where they are below 0."""
    levels = np.where(np.asarray(mask) >= HALF, np.uint8(255), np.uint8(0))
    square = np.ones((2 * abs(pixels) + 1,) * 2, np.uint8)
    # Beyond the picture's edge there is nothing that could grow, on neither side of the rim.
    return Image.fromarray(cv2.erode(levels, square) if pixels < 0 else cv2.dilate(levels, square))


def _output_size(request: GenerationRequest, part: ChangeBackground) -> Size:
    return part.output_width or request.width, part.output_height or request.height


def _placed(product: Foreground, size: Size, mode: str) -> Foreground:
    """In a frame of this size. Where the frame is larger than the picture there is only background."""
    if mode == "fill":
        inner = ImageOps.contain(product.picture, size, Image.Resampling.LANCZOS).size
        mask = Image.new("L", size)
        corner = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
        mask.paste(product.mask.resize(inner, Image.Resampling.LANCZOS), corner)
        return Foreground(images.resize(product.picture, *size, "fill"), mask)
    kind: ResizeMode = "crop" if mode == "crop" else "stretch"
    return Foreground(images.resize(product.picture, *size, kind), images.resize(product.mask, *size, kind))


def _must_leave_both(mask: Image.Image) -> None:
    darkest, brightest = mask.getextrema()
    if brightest == 0:
        raise InvalidImage("the mask leaves nothing of the picture, or shrinks it to nothing")
    if darkest == 255:
        raise InvalidImage("the mask leaves nothing to draw")
