"""Texts in the corners of images: "AI生成", a brand, a watermark. Pure functions."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gpu_runner.protocol.images import files as image_files

from .labels.explicit import Lettering

FONT = Path(__file__).parent / "fonts" / "NotoSansSC-Medium.subset.ttf"
SMALLEST = 8  # pixels
WIDEST = 0.9  # of the image's width
MARGIN = 0.6  # of the font size
SPACING = 0.3  # between two lines, of the font size
OUTLINE = 1 / 12  # of the font size; keeps white text readable on white
INK, EDGE = (255, 255, 255), (0, 0, 0)
CONTRAST = 4.5  # of text and outline, as WCAG 2 asks for text
OPACITY_STEP = 0.1


def drawn(png: bytes, labels: Sequence[Lettering]) -> bytes:
    """Draw the labels on a PNG file. The new file has no text chunks; without labels, ``png`` is returned."""
    return encoded(png, labels) if labels else png


def encoded(png: bytes, labels: Sequence[Lettering]) -> bytes:
    """Like ``drawn``, but always a new file, without text chunks."""
    image = FrameLabeler(labels).drawn(image_files.open_image(png, max_pixels=None))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


class FrameLabeler:
    """Draws the same labels on images of one size, such as the frames of a video.

    A required label that was once drawn with a higher opacity keeps it, so that it does not flicker.
    """

    def __init__(self, labels: Sequence[Lettering]) -> None:
        self.labels = tuple(labels)
        self._opacities = [label.opacity for label in labels]
        self._layers: dict[tuple[int, tuple[int, int]], tuple[Image.Image, Image.Image]] = {}

    def drawn(self, image: Image.Image) -> Image.Image:
        """The image with the labels, in its own mode."""
        if not self.labels:
            return image
        mode, image = image.mode, image.convert("RGBA")
        for number, label in enumerate(self.labels):
            key = number, image.size
            layer, ink = self._layers.get(key) or self._layers.setdefault(key, _layers(image.size, label))
            if label.required:
                image, opacity = _legible(image, layer, ink, self._opacities[number])
                self._opacities[number] = opacity
            else:
                image = _composite(image, layer, label.opacity)
        return image.convert(mode)


def contrast(image: Image.Image, layer: Image.Image, ink: Image.Image) -> float:
    """Contrast of a drawn text and its outline (WCAG 2: 1 to 21), at its worst parts, on white and on black.

    ``layer``: opaque where text or outline are; ``ink``: white where the text is.
    """
    box = layer.getbbox()
    if box is None:
        return 1.0
    is_ink = np.asarray(ink.crop(box)) > 250
    is_edge = (np.asarray(layer.getchannel("A").crop(box)) > 250) & (np.asarray(ink.crop(box)) < 5)
    if not is_ink.any() or not is_edge.any():
        return 1.0
    ratios = []
    for background in ("white", "black"):  # behind transparent parts
        luminance = _luminance(image_files.flatten(image.crop(box), background))
        light = np.percentile(luminance[is_ink], 10)
        dark = np.percentile(luminance[is_edge], 90)
        ratios.append((light + 0.05) / (dark + 0.05))
    return float(min(ratios))


def _legible(
    image: Image.Image, layer: Image.Image, ink: Image.Image, opacity: float
) -> tuple[Image.Image, float]:
    """Draw a text with the opacity, or with the next higher one at which it can be read. Also returns that."""
    while True:
        result = _composite(image, layer, opacity)
        if opacity >= 1 or contrast(result, layer, ink) >= CONTRAST:
            return result, opacity
        opacity = min(1.0, opacity + OPACITY_STEP)


def _luminance(image: Image.Image) -> np.ndarray:
    levels = np.asarray(image.convert("RGB")) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def _composite(image: Image.Image, layer: Image.Image, opacity: float) -> Image.Image:
    """Put the layer over the image; its alpha is multiplied by the opacity (0: invisible, 1: opaque)."""
    faded = layer.copy()
    faded.putalpha(layer.getchannel("A").point(lambda alpha: round(alpha * opacity)))
    return Image.alpha_composite(image, faded)


def _layers(size: tuple[int, int], label: Lettering) -> tuple[Image.Image, Image.Image]:
    """RGBA layer with text and outline, and a mask of the text alone."""
    text = " ".join(label.text.split()) or label.text
    font = _font(_font_size(text, math.ceil(min(size) * label.height)))
    if label.required:
        text = _wrapped(text, font, size[0] * WIDEST)
    else:
        font = _fitting(text, font, size[0] * WIDEST)
    edge = max(1, round(font.size * OUTLINE))
    options: dict[str, Any] = {"font": font, "spacing": round(font.size * SPACING)}
    canvas = Image.new("RGBA", size, (*INK, 0))
    mask = Image.new("L", size, 0)
    box = ImageDraw.Draw(canvas).multiline_textbbox((0, 0), text, stroke_width=edge, **options)
    left, top, right, bottom = box
    margin = round(font.size * MARGIN)
    x = margin if label.corner.endswith("left") else size[0] - margin - (right - left)
    y = margin if label.corner.startswith("top") else size[1] - margin - (bottom - top)
    place = (x - left, y - top)
    ImageDraw.Draw(canvas).multiline_text(place, text, INK, stroke_width=edge, stroke_fill=EDGE, **options)
    ImageDraw.Draw(mask).multiline_text(place, text, 255, **options)
    return canvas, mask


def _font_size(text: str, height: int) -> int:
    """Smallest font size at which the letters are as high as ``height`` pixels."""
    size = max(SMALLEST, height)
    while size < 3 * height and _letters_height(text, size) < height:
        size += 1
    return size


@functools.lru_cache(maxsize=256)
def _letters_height(text: str, size: int) -> int:
    """Rows between the highest and the lowest clearly inked pixel."""
    image = Image.new("L", (math.ceil(_font(size).getlength(text)) + 2 * size, 3 * size))
    ImageDraw.Draw(image).text((size, size), text, 255, _font(size))
    box = image.point(lambda level: 255 * (level > 200)).getbbox()
    return box[3] - box[1] if box else 0


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: float) -> ImageFont.FreeTypeFont:
    """The font, or a smaller one if the text would be wider than ``width``."""
    length = font.getlength(text)
    return font if length <= width else _font(max(SMALLEST, int(font.size * width / length)))


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text in lines that are not wider than ``width``, broken at spaces where possible."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if font.getlength(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        line = ""
        for letter in word:
            if line and font.getlength(line + letter) > width:
                lines.append(line)
                line = ""
            line += letter
    return "\n".join([*lines, line])


@functools.lru_cache(maxsize=64)
def _font(height: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONT), height, layout_engine=ImageFont.Layout.BASIC)
