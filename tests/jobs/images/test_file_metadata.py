import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.ExifTags import IFD, Base

from jobs.images.file_metadata import with_infotext
from tests.support.fake_runner import png

PNG = png(color="teal")


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def chunks(data: bytes) -> list[bytes]:
    kinds, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kinds.append(data[at + 4 : at + 8])
        at += length + 12
    return kinds


@pytest.mark.parametrize(("text", "kind"), [("a café", b"tEXt"), ("画坊", b"iTXt"), ("a cat 🐈", b"iTXt")])
def test_png_has_its_text_where_a1111s_users_look_for_it(text, kind):
    data = with_infotext(PNG, "png", text)
    assert opened(data).text == {"parameters": text}
    assert chunks(data)[:2] == [b"IHDR", kind]


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=200))
def test_any_text_comes_back_from_a_png_as_it_was(text):
    assert opened(with_infotext(PNG, "png", text)).text["parameters"] == text


def test_png_keeps_its_pixels_bit_by_bit():
    assert opened(with_infotext(PNG, "png", "a cat")).tobytes() == opened(PNG).tobytes()


def test_png_without_a_text_is_left_as_it_is():
    assert with_infotext(PNG, "png", "") == PNG


@pytest.mark.parametrize("text", ["a café", "画坊 🐈\nSteps: 20"])
@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_jpeg_and_webp_have_their_text_in_the_user_comment(output_format, text):
    picture = opened(with_infotext(PNG, output_format, text))
    comment = picture.getexif().get_ifd(IFD.Exif)[Base.UserComment]
    assert picture.format == output_format.upper()
    assert (comment[:8], comment[8:].decode("utf-16-be")) == (b"UNICODE\0", text)


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_no_text_makes_no_user_comment(output_format):
    picture = opened(with_infotext(PNG, output_format, ""))
    assert Base.UserComment not in picture.getexif().get_ifd(IFD.Exif)


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_what_is_no_png_is_not_taken_for_one(output_format):
    with pytest.raises((ValueError, OSError)):
        with_infotext(b"GIF89a", output_format, "a cat")
