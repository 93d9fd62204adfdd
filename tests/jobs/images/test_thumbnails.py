"""Thumbnails of outputs and previews."""

import io

from PIL import Image

from jobs.images.thumbnails import thumbnail
from tests.support.input_images import file_of, is_upright, photo


def test_thumbnail_is_upright_and_small():
    small = Image.open(io.BytesIO(thumbnail(photo(768, 512))))
    assert is_upright(small, (256, 171))
    assert not small.getexif()


def test_transparency_is_kept():
    small = Image.open(io.BytesIO(thumbnail(file_of(Image.new("RGBA", (512, 512), (255, 0, 0, 0))))))
    assert small.convert("RGBA").getpixel((10, 10))[3] == 0
