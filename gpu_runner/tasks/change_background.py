"""Background replacement: cut out the product, inpaint the rest, and paste the original product pixels back.

Only the inpainting runs on the engine's thread; cut-out and compositing run on other threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageFilter, ImageOps

from gpu_runner.imaging import images, masks
from gpu_runner.imaging.images import InvalidImage, ResizeMode, Size
from gpu_runner.imaging.text_detection import mask_of_letters
from gpu_runner.networks.onnx_model import OnnxModel
from gpu_runner.protocol.generation_request import GenerationRequest
from gpu_runner.protocol.images.working_size import placement
from gpu_runner.protocol.request_parts.backgrounds import ChangeBackground

from .init_image import Canvas, Content, MaskOptions, Overlay

HALF = 128
# Color of a background before it is generated. Lighter grays let the model extend more of the products.
NEUTRAL = (HALF, HALF, HALF)
# Pixels by which the generated area reaches into the product: one cell of the latent (8×8 pixels) and one more, so that
# no cell that holds both product and background is kept.
CELL_OVERLAP = 9


@dataclass(frozen=True)
class Foreground:
    """An image and the mask of its product: same size, white where the product is."""

    image: Image.Image
    mask: Image.Image


def inpainting_request(request: GenerationRequest) -> GenerationRequest:
    """Return the img2img request that inpaints the background; other tasks are returned unchanged."""
    if request.change_background is None:
        return request
    return request.model_copy(update={"task": "img2img", "change_background": None})


def cut_out(
    image: Image.Image,
    mask: Image.Image | None,
    part: ChangeBackground,
    background: str,
    matting: OnnxModel | None,
) -> Foreground:
    """Cut out the product by the client's mask, else by the matting model, else by the image's alpha channel.

    Raises InvalidImage if there is none of them.
    """
    flat = images.flatten(image, background)
    if mask is not None:
        resized = masks.from_image(mask, rounded=False).resize(image.size, Image.Resampling.BILINEAR)
        return Foreground(flat, ImageOps.invert(resized) if part.mask_invert else resized)
    if matting is not None:
        from gpu_runner.imaging.matting import matte  # imports torch, which not every runner has

        return Foreground(flat, matte(matting, flat))
    if image.mode != "RGBA":
        raise InvalidImage("without a mask or matting, the init image must have an alpha channel")
    return Foreground(flat, image.getchannel("A"))


def without_letters(image: Image.Image, background: str, detector: OnnxModel) -> Foreground:
    """Take everything but the letters in the image for the product. Raises InvalidImage if there are no letters."""
    flat = images.flatten(image, background)
    letters = mask_of_letters(detector, flat)
    if letters.getbbox() is None:
        raise InvalidImage("no letters were found in the image; send a mask of what is to be removed")
    return Foreground(flat, ImageOps.invert(letters))


def canvas(request: GenerationRequest, part: ChangeBackground, product: Foreground) -> Canvas:
    """Build the canvas for inpainting the background, with the overlay that restores the product.

    Raises InvalidImage if the expanded mask covers nothing or everything.
    """
    placed = _placed(product, _output_size(request, part), request.resize_mode)
    product_mask = expanded(placed.mask, part.mask_expansion)
    _check_mask(product_mask)
    size = request.width, request.height
    behind = ImageOps.invert(product_mask.resize(size, Image.Resampling.BILINEAR))
    frame = placed.image.resize(size, Image.Resampling.LANCZOS)
    content: Content = "original"
    if part.content == "neutral":
        frame = Image.composite(Image.new("RGB", size, NEUTRAL), frame, behind)
        behind = _without_cells_of_both(behind)
    elif part.content != "original":
        frame = masks.fill_masked(frame, behind)
        content = part.content
    generated_area = ImageOps.invert(product_mask.filter(ImageFilter.BoxBlur(part.feather)))
    overlay = Overlay(placed.image, generated_area, (0, 0, *placed.image.size))
    return Canvas(frame, behind, overlay, MaskOptions(content))


def _without_cells_of_both(behind: Image.Image) -> Image.Image:
    """Extend the generated area over latent cells that hold both product and background.

    If such a cell is kept, the model takes what is at its edge for a part of the product and continues it into the
    background. A product that is too thin for a whole cell is left as it is.
    """
    extended = expanded(behind, CELL_OVERLAP)
    return behind if extended.getextrema()[0] == 255 else extended


def expanded(mask: Image.Image, pixels: int) -> Image.Image:
    """Threshold the mask at 128 and dilate it by ``pixels``, or erode it if ``pixels`` is negative."""
    levels = np.where(np.asarray(mask) >= HALF, np.uint8(255), np.uint8(0))
    square = np.ones((2 * abs(pixels) + 1,) * 2, np.uint8)
    # OpenCV's default border value lets neither dilation nor erosion start from the image border.
    return Image.fromarray(cv2.erode(levels, square) if pixels < 0 else cv2.dilate(levels, square))


def _output_size(request: GenerationRequest, part: ChangeBackground) -> Size:
    return part.output_width or request.width, part.output_height or request.height


def _placed(product: Foreground, size: Size, mode: str) -> Foreground:
    """Resize image and mask to ``size``. With ``fill``, the padding around the image is background."""
    if mode == "fill":
        inner, corner = placement(product.image.size, *size, covers=False)
        mask = Image.new("L", size)
        mask.paste(product.mask.resize(inner, Image.Resampling.LANCZOS), corner)
        return Foreground(images.resize(product.image, *size, "fill"), mask)
    kind: ResizeMode = "crop" if mode == "crop" else "stretch"
    return Foreground(images.resize(product.image, *size, kind), images.resize(product.mask, *size, kind))


def _check_mask(mask: Image.Image) -> None:
    darkest, brightest = mask.getextrema()
    if brightest == 0:
        raise InvalidImage("the mask of the product is empty, or mask_expansion removes all of it")
    if darkest == 255:
        raise InvalidImage("the mask of the product covers the whole image")
