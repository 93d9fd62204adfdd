"""Text labels in the corners of images: "AI生成", a brand, a watermark. Pure functions."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from gpu_runner.protocol import image_files
from gpu_runner.protocol.generation_request import Label

FONT = Path(__file__).parent / "fonts" / "NotoSansSC-Medium.subset.ttf"
HEIGHT = 1 / 24  # of the image's short side
SMALLEST, LARGEST = 8, 96  # pixels
WIDEST = 0.9  # of the image's width
MARGIN = 0.6  # of the font size
OUTLINE = 1 / 12  # of the font size; keeps white text readable on white
INK, EDGE = (255, 255, 255), (0, 0, 0)


def drawn(png: bytes, labels: Sequence[Label]) -> bytes:
    """Draw the labels on a PNG file. The new file has no text chunks; without labels, ``png`` is returned."""
    return encoded(png, labels) if labels else png


def encoded(png: bytes, labels: Sequence[Label]) -> bytes:
    """Like ``drawn``, but always a new file, without text chunks."""
    opened = image_files.open_image(png, max_pixels=None)
    mode, image = opened.mode, opened.convert("RGBA")
    for label in labels:
        image = Image.alpha_composite(image, _layer(image.size, label))
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _layer(size: tuple[int, int], label: Label) -> Image.Image:
    """RGBA layer with the label; its alpha is multiplied by the opacity (0: invisible, 1: opaque)."""
    text = " ".join(label.text.split()) or label.text
    font = _fitting(text, size)
    edge = max(1, round(font.size * OUTLINE))
    left, top, right, bottom = font.getbbox(text, stroke_width=edge)
    margin = round(font.size * MARGIN)
    x = margin if label.corner.endswith("left") else size[0] - margin - (right - left)
    y = margin if label.corner.startswith("top") else size[1] - margin - (bottom - top)
    layer = Image.new("RGBA", size, (*INK, 0))
    place = (x - left, y - top)
    ImageDraw.Draw(layer).text(place, text, INK, font, stroke_width=edge, stroke_fill=EDGE)
    layer.putalpha(layer.getchannel("A").point(lambda alpha: round(alpha * label.opacity)))
    return layer


def _fitting(text: str, size: tuple[int, int]) -> ImageFont.FreeTypeFont:
    """Font sized by the short side, or smaller if the text would exceed ``WIDEST`` of the width."""
    height = min(max(round(min(size) * HEIGHT), SMALLEST), LARGEST)
    length = _font(height).getlength(text)
    return (
        _font(max(SMALLEST, min(height, int(height * size[0] * WIDEST / length))))
        if length
        else _font(height)
    )


@functools.lru_cache(maxsize=32)
def _font(height: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONT), height, layout_engine=ImageFont.Layout.BASIC)
