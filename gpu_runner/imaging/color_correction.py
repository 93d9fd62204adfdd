"""Gives a drawn picture the colours of the one that it was made from, and keeps its own light and shade."""

from __future__ import annotations

import numpy as np
from PIL import Image

# sRGB's primaries in CIE XYZ under D65 (IEC 61966-2-1), and that white.
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = TO_XYZ.sum(axis=1)
LINEAR_BELOW = (6 / 29) ** 3  # CIE 1976: where the cube root gives way to a line
LUMINOSITY = np.array([0.3, 0.59, 0.11])  # W3C Compositing and Blending, non-separable blend modes


def corrected(drawn: Image.Image, model: Image.Image) -> Image.Image:
    """Each channel of CIELAB gets the histogram of the model's."""
    own, wanted = to_lab(drawn), to_lab(model)
    channels = [matched(own[..., index], wanted[..., index]) for index in range(3)]
    recoloured = from_lab(np.stack(channels, axis=-1))
    levels = with_luminosity_of(recoloured, np.asarray(drawn) / 255)
    return Image.fromarray((levels * 255 + 0.5).astype(np.uint8))


def matched(values: np.ndarray, model: np.ndarray) -> np.ndarray:
    """Each value becomes the one that has the same rank in the model."""
    _levels, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    wanted, wanted_counts = np.unique(model, return_counts=True)
    ranks, wanted_ranks = counts.cumsum() / values.size, wanted_counts.cumsum() / model.size
    return np.interp(ranks, wanted_ranks, wanted)[places].reshape(values.shape)


def to_lab(picture: Image.Image) -> np.ndarray:
    """In 256 levels a channel, so that a histogram means something."""
    levels = np.asarray(picture.convert("RGB")) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    ratios = linear @ TO_XYZ.T / WHITE
    bent = np.where(ratios > LINEAR_BELOW, np.cbrt(ratios), ratios * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(bent, -1, 0)
    return np.rint(np.stack([(116 * y - 16) * 2.55, 500 * (x - y), 200 * (y - z)], axis=-1))


def from_lab(lab: np.ndarray) -> np.ndarray:
    """From 0 to 1."""
    y = (lab[..., 0] / 2.55 + 16) / 116
    bent = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    ratios = np.where(bent > 6 / 29, bent**3, (bent - 4 / 29) * 3 * (6 / 29) ** 2)
    linear = (ratios * WHITE @ np.linalg.inv(TO_XYZ).T).clip(0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def with_luminosity_of(colours: np.ndarray, light: np.ndarray) -> np.ndarray:
    """The blend mode "luminosity": shifted to the other's luminosity, and drawn towards it where that leaves the gamut."""
    wanted = (light @ LUMINOSITY)[..., None]
    shifted = colours + wanted - (colours @ LUMINOSITY)[..., None]
    least, most = shifted.min(-1, keepdims=True), shifted.max(-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(least < 0, wanted / (wanted - least), 1)
        high = np.where(most > 1, (1 - wanted) / (most - wanted), 1)
    return (wanted + (shifted - wanted) * np.minimum(low, high)).clip(0, 1)
