"""The real text detector, from the wheel that ``manage.py install_text_detector`` downloads."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

import pytest
from django.core.management.base import CommandError
from PIL import Image, ImageDraw, ImageFont

from jobs.images.watermark import FONT
from models_registry.management.commands import install_text_detector


@cache
def detector_wheel() -> Path:
    """The wheel; of RAPIDOCR_WHEEL, or downloaded. Skips the test if no package index is reachable."""
    if given := os.environ.get("RAPIDOCR_WHEEL"):
        return Path(given)
    try:
        return install_text_detector.download(Path(tempfile.mkdtemp()))
    except CommandError as error:
        pytest.skip(f"RapidOCR's wheel is not there: {error}")


def lettered(image: Image.Image, text: str, corner: tuple[int, int], size: int = 28) -> Image.Image:
    """The image with a translucent white text over it."""
    layer = Image.new("RGBA", image.size)
    ImageDraw.Draw(layer).text(
        corner, text, font=ImageFont.truetype(str(FONT), size), fill=(255, 255, 255, 200)
    )
    marked = image.convert("RGB")
    marked.paste(layer, mask=layer)
    return marked
