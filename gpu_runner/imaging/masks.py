"""Masks on their way from a client's picture to the latent grid. White is drawn anew, black is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter, ImageOps

if TYPE_CHECKING:
    from torch import Tensor

    from gpu_runner.protocol.generation_request import Inpaint

HALF_ALPHA = 128
KERNEL_REACH = 2.5  # standard deviations that a blur looks to each side
FILL_RADII = (256, 64, 16, 4, 2, 0)  # from far to near

Box = tuple[int, int, int, int]  # left, top, right, bottom


def prepared(picture: Image.Image, inpaint: Inpaint) -> Image.Image:
    """What a client's mask says, inverted and softened as it asked for."""
    mask = said_by(picture, rounded=inpaint.rounded)
    if inpaint.invert:
        mask = ImageOps.invert(mask)
    return blurred(mask, inpaint.blur_x, inpaint.blur_y)


def said_by(picture: Image.Image, *, rounded: bool) -> Image.Image:
    """The alpha channel where there is one that says anything, else the luminance."""
    if picture.mode != "RGBA" or picture.getchannel("A").getextrema() == (255, 255):
        return picture.convert("L")
    alpha = picture.getchannel("A")
    return alpha.point([255 * (level > HALF_ALPHA) for level in range(256)]) if rounded else alpha


def blurred(mask: Image.Image, sigma_x: float, sigma_y: float) -> Image.Image:
    if sigma_x == sigma_y == 0:
        return mask
    levels = np.asarray(mask, dtype=np.float64)
    levels = _blurred_along(_blurred_along(levels, sigma_x, 1), sigma_y, 0)
    return Image.fromarray(np.rint(levels).clip(0, 255).astype(np.uint8))


def _blurred_along(levels: np.ndarray, sigma: float, axis: int) -> np.ndarray:
    """By way of frequencies, so that the time does not grow with the radius."""
    if sigma == 0:
        return levels
    reach = int(KERNEL_REACH * sigma + 0.5)
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    bars = [(reach, reach) if side == axis else (0, 0) for side in (0, 1)]
    padded = np.moveaxis(np.pad(levels, bars, mode="reflect"), axis, -1)
    size = padded.shape[-1] + 2 * reach
    product = np.fft.rfft(padded, size) * np.fft.rfft(kernel / kernel.sum(), size)
    full = np.fft.irfft(product, size)
    return np.moveaxis(full[..., 2 * reach : 2 * reach + levels.shape[axis]], -1, axis)


def region(mask: Image.Image, padding: int, width: int, height: int) -> Box | None:
    """The box around what the mask shows, padded, and grown to the shape of a frame; None for a black mask."""
    box = mask.getbbox()
    if box is None:
        return None
    left, right = max(box[0] - padding, 0), min(box[2] + padding, mask.width)
    top, bottom = max(box[1] - padding, 0), min(box[3] + padding, mask.height)
    if (right - left) * height > (bottom - top) * width:
        top, bottom = _grown(top, bottom, (right - left) * height / width, mask.height)
    else:
        left, right = _grown(left, right, (bottom - top) * width / height, mask.width)
    return left, top, right, bottom


def _grown(low: int, high: int, length: float, limit: int) -> tuple[int, int]:
    """To both sides alike; what does not fit on one side is added on the other."""
    extra = int(length - (high - low))
    low, high = low - extra // 2, high + extra - extra // 2
    low -= max(high - limit, 0)
    return max(low, 0), min(high - min(low, 0), limit)


def opened(mask: Image.Image) -> Image.Image:
    """Twice as strong: what is half masked is all new in the end, and no seam shows."""
    return mask.point([min(2 * level, 255) for level in range(256)])


def filled(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """Under the mask, the colours around it: blurs of what is kept, each nearer one over the farther."""
    kept = Image.new("RGBa", picture.size)
    kept.paste(picture.convert("RGBa"), mask=ImageOps.invert(mask))
    result = Image.new("RGBA", picture.size)
    for radius in FILL_RADII:
        result.alpha_composite(kept.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA"))
    return result.convert("RGB")


def on_grid(mask: Image.Image, width: int, height: int, *, rounded: bool) -> Tensor:
    """(1, height, width) from 0, kept, to 1, drawn anew."""
    import torch

    small = mask.resize((width, height), Image.Resampling.BICUBIC)
    levels = torch.from_numpy(np.array(small, dtype=np.float32))[None] / 255
    return levels.round() if rounded else levels
