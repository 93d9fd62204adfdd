import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.ExifTags import IFD, Base

from jobs.images.file_metadata import SHORTENED, with_infotext
from tests.support.fake_runner import png

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
@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_jpeg_and_webp_have_the_infotext_in_user_comment(output_format, text):
    image = opened(with_infotext(PNG, output_format, text))
    comment = image.getexif().get_ifd(IFD.Exif)[Base.UserComment]
    assert image.format == output_format.upper()
    assert (comment[:8], comment[8:].decode("utf-16-be")) == (b"UNICODE\0", text)


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_empty_infotext_writes_no_user_comment(output_format):
    image = opened(with_infotext(PNG, output_format, ""))
    assert Base.UserComment not in image.getexif().get_ifd(IFD.Exif)


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_other_formats_are_refused(output_format):
    with pytest.raises((ValueError, OSError)):
        with_infotext(b"GIF89a", output_format, "a cat")


PARAMETERS = "Steps: 20, Sampler: Euler, Seed: 1"


def user_comment(data: bytes) -> str:
    return opened(data).getexif().get_ifd(IFD.Exif)[Base.UserComment][8:].decode("utf-16-be")


@pytest.mark.parametrize("letter", ["a", "图", "🐈"])
@pytest.mark.parametrize("count", [32_000, 33_000, 100_000])
def test_infotext_that_is_too_long_for_a_jpeg_is_shortened_with_a_note(letter, count):
    text = f"{letter * count}\nNegative prompt: b\n{PARAMETERS}"
    found = user_comment(with_infotext(PNG, "jpeg", text))
    if found == text:
        return
    assert found.startswith(letter * 16_000)
    assert found.endswith(f"{SHORTENED}\n{PARAMETERS}"), "it can still be read as an infotext"
    assert len(found.encode("utf-16-be")) > 65_000, "as much as possible is kept"


def test_a_short_infotext_is_not_changed_and_a_single_long_line_is_cut():
    assert user_comment(with_infotext(PNG, "jpeg", PARAMETERS)) == PARAMETERS
    assert user_comment(with_infotext(PNG, "jpeg", "Steps: " + "9" * 70_000)).endswith(SHORTENED)


@pytest.mark.parametrize("output_format", ["png", "webp"])
def test_other_formats_hold_a_long_infotext(output_format):
    text = "图" * 100_000
    data = with_infotext(PNG, output_format, text)
    assert (opened(data).text["parameters"] if output_format == "png" else user_comment(data)) == text


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_unpaired_surrogates_in_an_infotext_do_not_fail_the_image(output_format):
    assert opened(with_infotext(PNG, output_format, "a \ud800 cat"))
