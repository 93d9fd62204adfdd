"""Color correction for img2img: the colors of the init image with the luminosity of the output (as in A1111)."""

from __future__ import annotations

import numpy as np
from PIL import Image

# sRGB primaries in CIE XYZ under D65 (IEC 61966-2-1), and the white point.
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = TO_XYZ.sum(axis=1)
LINEAR_BELOW = (6 / 29) ** 3  # CIE 1976 L*a*b*: linear below this ratio, cube root above
LUMINOSITY = np.array([0.3, 0.59, 0.11])  # W3C Compositing and Blending, non-separable blend modes


def match_colors(generated: Image.Image, model: Image.Image) -> Image.Image:
    """Match the histogram of each CIELAB channel to that of ``model``, keeping the luminosity of ``generated``."""
    own, wanted = to_lab(generated), to_lab(model)
    channels = [matched(own[..., index], wanted[..., index]) for index in range(3)]
    recolored = from_lab(np.stack(channels, axis=-1))
    levels = with_luminosity_of(recolored, np.asarray(generated) / 255)
    return Image.fromarray((levels * 255 + 0.5).astype(np.uint8))


def matched(values: np.ndarray, model: np.ndarray) -> np.ndarray:
    """Histogram matching, like ``skimage.exposure.match_histograms``: replace values by those of equal rank in ``model``."""
    _levels, positions, counts = np.unique(values, return_inverse=True, return_counts=True)
    wanted, wanted_counts = np.unique(model, return_counts=True)
    ranks, wanted_ranks = counts.cumsum() / values.size, wanted_counts.cumsum() / model.size
    return np.interp(ranks, wanted_ranks, wanted)[positions].reshape(values.shape)


def to_lab(image: Image.Image) -> np.ndarray:
    """Convert to CIELAB (height, width, 3). L is scaled to 0..255; all values are rounded, so that histograms have bins."""
    levels = np.asarray(image.convert("RGB")) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    ratios = linear @ TO_XYZ.T / WHITE
    nonlinear = np.where(ratios > LINEAR_BELOW, np.cbrt(ratios), ratios * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(nonlinear, -1, 0)
    return np.rint(np.stack([(116 * y - 16) * 2.55, 500 * (x - y), 200 * (y - z)], axis=-1))


def from_lab(lab: np.ndarray) -> np.ndarray:
    """Convert the output of ``to_lab`` to sRGB (height, width, 3), from 0 to 1."""
    y = (lab[..., 0] / 2.55 + 16) / 116
    nonlinear = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    ratios = np.where(nonlinear > 6 / 29, nonlinear**3, (nonlinear - 4 / 29) * 3 * (6 / 29) ** 2)
    linear = (ratios * WHITE @ np.linalg.inv(TO_XYZ).T).clip(0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def with_luminosity_of(colors: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Blend mode "luminosity" of W3C Compositing and Blending: SetLum and ClipColor. Arrays from 0 to 1."""
    wanted = (light @ LUMINOSITY)[..., None]
    shifted = colors + wanted - (colors @ LUMINOSITY)[..., None]
    least, most = shifted.min(-1, keepdims=True), shifted.max(-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(least < 0, wanted / (wanted - least), 1)
        high = np.where(most > 1, (1 - wanted) / (most - wanted), 1)
    return (wanted + (shifted - wanted) * np.minimum(low, high)).clip(0, 1)
