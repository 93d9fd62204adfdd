"""The field ``size``: pixels, a class of area, or the checkpoint's own area."""

import pytest

from dialects.ark.errors import ArkError
from dialects.ark.request.sizes import Size, first_pass, requested_size

SD15 = Size(512, 512)


def size(text=None, prompt="a cat", image=None, native=SD15) -> str:
    return str(requested_size(text, native, prompt, image))


@pytest.mark.parametrize("text", ["768x512", "768X512", "768×512", "768*512", " 768 x 512 "])
def test_pixels(text):
    assert size(text) == "768x512"


@pytest.mark.parametrize(
    ("text", "expected"), [("1K", "1024x1024"), ("2K", "2048x2048"), ("4K", "4096x4096"), ("2k", "2048x2048")]
)
def test_class_is_an_area(text, expected):
    assert size(text) == expected


@pytest.mark.parametrize("text", [None, "", "auto", "AUTO"])
def test_without_a_size_the_checkpoints_own(text):
    assert size(text, native=Size(640, 512)) == "640x512"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a cat, 16:9", "1368x768"),
        ("一只猫，9：16，夜晚", "768x1368"),
        ("a cat in 4:3 format", "1184x888"),
        ("a (cat:1.2) at 12:30", "1024x1024"),
        ("a cat (16:9)", "1024x1024"),
        ("[a cat:a dog:10] 1:1.5", "1024x1024"),
        ("at 116:9, v1.16:9", "1024x1024"),
    ],
)
def test_class_has_the_ratio_in_the_prompt(prompt, expected):
    assert size("1K", prompt) == expected


def test_ratio_of_the_image_precedes_that_of_the_prompt():
    assert size("1K", "a cat, 16:9", Size(300, 600)) == "728x1448"
    assert size("auto", "a cat", Size(2000, 1000)) == "728x360"


@pytest.mark.parametrize("text", ["1x1", "1000x1001", "8192x8192", "99999x8", "56x512"])
def test_size_that_no_request_may_have_is_refused(text):
    with pytest.raises(ArkError, match="multiples of 8 from 64 to 4096"):
        size(text)


@pytest.mark.parametrize("text", ["8K", "big", "512", "512x", "-512x512", "0x0", "５１２x５１２"])
def test_another_text_is_refused(text):
    with pytest.raises(ArkError, match="WIDTHxHEIGHT, 1K, 2K, 4K or auto"):
        size(text)


def test_wide_image_of_the_largest_class_is_refused():
    with pytest.raises(ArkError, match="5464x3072"):
        size("4K", "16:9")


def test_large_image_has_a_first_pass_at_the_checkpoints_own_area():
    assert first_pass(Size(1024, 1024), SD15) == Size(512, 512)
    assert first_pass(Size(2048, 1024), SD15) == Size(728, 360)
    assert first_pass(Size(600, 600), SD15) is None
    assert first_pass(Size(1024, 1024), Size(1024, 1024)) is None
