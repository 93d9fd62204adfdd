import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.ExifTags import IFD, Base

from jobs.images.file_metadata import with_infotext
from tests.support.fake_runner import png
from tests.support.input_images import file_of

PNG = png(color="teal")


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def chunks(data: bytes) -> list[bytes]:
    kinds, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kinds.append(data[at + 4 : at + 8])
        at += length + 12
    return kinds


@pytest.mark.parametrize(("text", "kind"), [("a café", b"tEXt"), ("画坊", b"iTXt"), ("a cat 🐈", b"iTXt")])
def test_png_has_a_parameters_text_chunk_after_ihdr(text, kind):
    data = with_infotext(PNG, "png", text)
    assert opened(data).text == {"parameters": text}
    assert chunks(data)[:2] == [b"IHDR", kind]


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=200))
def test_any_text_is_preserved_in_a_png(text):
    assert opened(with_infotext(PNG, "png", text)).text["parameters"] == text


def test_pixels_of_a_png_are_unchanged():
    assert opened(with_infotext(PNG, "png", "a cat")).tobytes() == opened(PNG).tobytes()


def test_png_without_infotext_is_unchanged():
    assert with_infotext(PNG, "png", "") == PNG


@pytest.mark.parametrize("text", ["a café", "画坊 🐈\nSteps: 20"])
@pytest.mark.parametrize("output_format", ["jpeg", "webp", "avif"])
def test_jpeg_and_webp_have_the_infotext_in_user_comment(output_format, text):
    image = opened(with_infotext(PNG, output_format, text))
    comment = image.getexif().get_ifd(IFD.Exif)[Base.UserComment]
    assert image.format == output_format.upper()
    assert (comment[:8], comment[8:].decode("utf-16-be")) == (b"UNICODE\0", text)


@pytest.mark.parametrize("output_format", ["jpeg", "webp", "avif"])
def test_empty_infotext_writes_no_user_comment(output_format):
    image = opened(with_infotext(PNG, output_format, ""))
    assert Base.UserComment not in image.getexif().get_ifd(IFD.Exif)


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp", "avif"])
def test_other_formats_are_refused(output_format):
    with pytest.raises((ValueError, OSError)):
        with_infotext(b"GIF89a", output_format, "a cat")


@pytest.mark.parametrize("output_format", ["webp", "avif"])
def test_formats_with_transparency_keep_it(output_format):
    transparent = file_of(Image.new("RGBA", (8, 8), (255, 0, 0, 0)))
    assert opened(with_infotext(transparent, output_format, "a cat")).getpixel((4, 4))[3] == 0


def test_transparency_is_white_in_a_jpeg():
    transparent = file_of(Image.new("RGBA", (8, 8), (255, 0, 0, 0)))
    assert opened(with_infotext(transparent, "jpeg", "a cat")).getpixel((4, 4)) == (255, 255, 255)
