"""Decoding, resizing and conversion of images."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from gpu_runner.imaging import images
from gpu_runner.imaging.images import InvalidImage


def file_of(image, file_format="PNG", **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def test_transparency_becomes_white():
    read = images.read(file_of(Image.new("RGBA", (8, 8), (255, 0, 0, 0))))
    assert read.getpixel((0, 0)) == (255, 255, 255)


def test_a_palette_image_with_transparency_is_flattened():
    image = Image.new("P", (8, 8), 0)
    assert images.read(file_of(image, transparency=0)).getpixel((0, 0)) == (255, 255, 255)


def test_16_bit_images_keep_their_levels():
    image = Image.fromarray(np.full((8, 8), 0x8080, dtype=np.uint16))
    assert images.read(file_of(image)).getpixel((0, 0)) == (128, 128, 128)


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert images.read(file_of(Image.new("RGB", (16, 8)), "JPEG", exif=exif)).size == (8, 16)


@pytest.mark.parametrize("data", [b"", b"not a image", file_of(Image.new("RGB", (64, 64), "red"))[:60]])
def test_undecodable_data_is_rejected(data):
    with pytest.raises(InvalidImage, match="cannot be decoded"):
        images.read(data)


def test_unsupported_formats_are_rejected():
    with pytest.raises(InvalidImage):
        images.read(file_of(Image.new("RGB", (8, 8)), "TIFF"))


def test_too_many_pixels_are_rejected_before_decoding():
    with pytest.raises(InvalidImage, match="9000x8000"):
        images.read(file_of(Image.new("1", (9000, 8000))))


def test_stretch_ignores_the_aspect_ratio():
    halves = Image.new("RGB", (100, 50), "blue")
    halves.paste((255, 0, 0), (0, 0, 50, 50))
    stretched = images.resize(halves, 64, 64, "stretch")
    assert (stretched.getpixel((2, 32)), stretched.getpixel((61, 32))) == ((255, 0, 0), (0, 0, 255))


def test_crop_keeps_the_center():
    thirds = Image.new("RGB", (192, 64), "red")
    thirds.paste((0, 255, 0), (64, 0, 128, 64))
    cropped = np.asarray(images.resize(thirds, 64, 64, "crop"))
    assert (cropped == (0, 255, 0)).all()


def test_fill_pads_with_the_edge_pixels():
    halves = Image.new("RGB", (64, 32), "blue")
    halves.paste((255, 0, 0), (0, 0, 64, 16))
    filled = images.resize(halves, 64, 64, "fill")
    assert (filled.getpixel((32, 0)), filled.getpixel((32, 63))) == ((255, 0, 0), (0, 0, 255))


@pytest.mark.parametrize(
    ("mode", "size", "levels"),
    [
        (
            "fill",  # 341 rows: the upper bar has one row more than the lower one
            (512, 512),
            {
                (256, 86): (127, 0, 150), (256, 255): (127, 126, 249),
                (256, 426): (127, 255, 93), (300, 500): (150, 255, 119),
            },
        ),
        (
            "fill",  # 69 rows
            (104, 128),
            {(0, 0): (0, 1, 2), (52, 28): (128, 1, 152), (52, 64): (128, 127, 251), (52, 98): (128, 253, 93)},
        ),
        (
            "crop",
            (104, 128),
            {(0, 0): (58, 0, 69), (52, 28): (127, 56, 194), (103, 127): (196, 254, 173)},
        ),
    ],
)  # fmt: skip
def test_resizing_equals_the_original(mode, size, levels):
    """Levels that A1111's ``images.resize_image`` returned (resize modes 2 and 1)."""
    rows, columns = np.mgrid[:200, :300]
    gradient = np.stack([columns * 255 // 299, rows * 255 // 199, (columns + rows) % 256], -1)
    resized = images.resize(Image.fromarray(gradient.astype(np.uint8)), *size, mode)
    assert {place: resized.getpixel(place) for place in levels} == levels


@pytest.mark.parametrize("mode", ["crop", "fill"])
@pytest.mark.parametrize("size", [(1, 300), (300, 1), (7, 5), (63, 64)])
def test_resizing_fills_every_frame(mode, size):
    for width, height in ((101, 64), (64, 101), (33, 33)):
        resized = images.resize(Image.new("L", size, 200), width, height, mode)
        assert resized.size == (width, height)
        assert resized.getextrema() == (200, 200)


def test_tensor_conversion_is_lossless():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8))
    back = images.from_tensor(images.to_tensor(image))
    assert np.array_equal(np.asarray(back), np.asarray(image))


def test_a_preview_is_a_small_jpeg_with_the_same_aspect_ratio():
    preview = Image.open(io.BytesIO(images.preview(torch.zeros(3, 32, 64))))
    assert (preview.format, preview.size) == ("JPEG", (256, 128))
