"""Sizes as text."""

import pytest

from dialects.image_sizes import parse_size


@pytest.mark.parametrize("text", ["512x768", " 512X768 ", "512 × 768", "512*768"])
def test_size_is_read(text):
    assert parse_size(text) == (512, 768)


@pytest.mark.parametrize(
    "text", ["", "auto", "512", "512x", "x512", "0x8", "-8x8", "8x8x8", "1e3x8", "٣x٣", "9" * 9]
)
def test_other_text_is_no_size(text):
    assert parse_size(text) is None
