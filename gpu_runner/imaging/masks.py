"""Inpainting masks: blur, crop box, fill, and conversion to the latent grid. White is repainted, black is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from gpu_runner.protocol.request_parts.passes import Inpaint

if TYPE_CHECKING:
    from torch import Tensor  # only for annotations: the ComfyUI adapter runs without torch

HALF_ALPHA = 128
KERNEL_RADIUS = 2.5  # of a blur, in standard deviations
# Blur radii in pixels, and how often each blur is composited, as in A1111's fill.
FILL_BLURS = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))

Box = tuple[int, int, int, int]  # left, top, right, bottom


def prepare(image: Image.Image, inpaint: Inpaint) -> Image.Image:
    """Return the mask (mode L) of an inpainting request: inverted and blurred as requested."""
    mask = from_image(image, rounded=inpaint.rounded)
    if inpaint.invert:
        mask = ImageOps.invert(mask)
    return blur(mask, inpaint.blur_x, inpaint.blur_y)


def from_image(image: Image.Image, *, rounded: bool) -> Image.Image:
    """Return the alpha channel of an image with transparency, else its luminance (mode L).

    With ``rounded``, the alpha channel is thresholded at 128.
    """
    if image.mode != "RGBA" or image.getchannel("A").getextrema() == (255, 255):
        return image.convert("L")
    alpha = image.getchannel("A")
    return alpha.point([255 * (level > HALF_ALPHA) for level in range(256)]) if rounded else alpha


def blur(mask: Image.Image, sigma_x: float, sigma_y: float) -> Image.Image:
    """Gaussian blur with a standard deviation in pixels per axis."""
    if sigma_x == sigma_y == 0:
        return mask
    levels = np.asarray(mask, dtype=np.float64)
    levels = _blurred_along(_blurred_along(levels, sigma_x, 1), sigma_y, 0)
    return Image.fromarray(np.rint(levels).clip(0, 255).astype(np.uint8))


def _blurred_along(levels: np.ndarray, sigma: float, axis: int) -> np.ndarray:
    """Blur along one axis by FFT convolution, so that the time does not depend on sigma."""
    if sigma == 0:
        return levels
    radius = int(KERNEL_RADIUS * sigma + 0.5)
    kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    padding = [(radius, radius) if side == axis else (0, 0) for side in (0, 1)]
    padded = np.moveaxis(np.pad(levels, padding, mode="reflect"), axis, -1)
    size = padded.shape[-1] + 2 * radius
    product = np.fft.rfft(padded, size) * np.fft.rfft(kernel / kernel.sum(), size)
    full = np.fft.irfft(product, size)
    return np.moveaxis(full[..., 2 * radius : 2 * radius + levels.shape[axis]], -1, axis)


def crop_box(mask: Image.Image, padding: int, width: int, height: int) -> Box | None:
    """Return the bounding box of the mask plus ``padding``, grown to the aspect ratio of (width, height).

    The box stays inside the mask. None for a black mask.
    """
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
    """Extend the interval to ``length`` on both sides equally, within 0 and ``limit``."""
    extra = int(length - (high - low))
    low, high = low - extra // 2, high + extra - extra // 2
    low -= max(high - limit, 0)
    return max(low, 0), min(high - min(low, 0), limit)


def double_opacity(mask: Image.Image) -> Image.Image:
    """Double the levels, so that half-masked pixels are replaced completely and no seam is visible."""
    return mask.point([min(2 * level, 255) for level in range(256)])


def fill_masked(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Fill the masked area with surrounding colors: blurs of the kept pixels, smaller radii over larger ones."""
    kept = Image.new("RGBa", image.size)
    kept.paste(image.convert("RGBa"), mask=ImageOps.invert(mask))
    result = Image.new("RGBA", image.size)
    for radius, times in FILL_BLURS:
        blurred = kept.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(times):
            result.alpha_composite(blurred)
    return result.convert("RGB")


def to_latent_grid(mask: Image.Image, width: int, height: int, *, rounded: bool) -> Tensor:
    """Return a float32 tensor (1, height, width) from 0 (keep) to 1 (repaint), rounded to 0 or 1 with ``rounded``.

    ``width`` and ``height`` are those of the latent.
    """
    import torch

    small = mask.resize((width, height), Image.Resampling.BICUBIC)
    levels = torch.from_numpy(np.array(small, dtype=np.float32))[None] / 255
    return levels.round() if rounded else levels
