"""Reading of image files: what a viewer sees is the image, its size included."""

import io
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageFile

from gpu_runner.protocol.images import files as image_files
from gpu_runner.protocol.images.files import UnusableImage
from tests.support.input_images import DAMAGED, STORED_AS, UNUSABLE, file_of, is_upright, photo, quarters


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", STORED_AS)
def test_orientation_is_applied_to_size_and_pixels(orientation, file_format):
    data = photo(192, 128, orientation, file_format)
    assert image_files.read_size(data) == (192, 128)
    assert is_upright(image_files.open_image(data), (192, 128))


def test_damaged_exif_data_is_ignored():
    data = file_of(quarters(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff nonsense")
    assert image_files.read_size(data) == (192, 128)
    assert is_upright(image_files.open_image(data))


def test_the_first_frame_of_an_animation_is_the_image():
    for file_format in ("GIF", "PNG", "WEBP", "AVIF"):
        rest = [Image.new("RGB", (192, 128), "black")] * 2
        data = file_of(quarters(), file_format, save_all=True, append_images=rest, duration=100)
        assert is_upright(image_files.open_image(data), (192, 128)), file_format


def faded(mode: str) -> Image.Image:
    """Opaque red in the left half, transparent in the right one."""
    image = Image.new("RGBA", (16, 8), (255, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 8, 8))
    return image.convert(mode)


@pytest.mark.parametrize(
    "data",
    [
        file_of(faded("RGBA")),
        file_of(faded("LA")),
        file_of(faded("RGBA"), "WEBP", lossless=True),
        file_of(faded("RGBA"), "AVIF"),
        file_of(faded("RGBA"), "GIF"),
        file_of(faded("RGBA").quantize(4)),
    ],
    ids=["RGBA", "LA", "WebP", "AVIF", "GIF", "palette"],
)
def test_transparency_is_kept_in_every_mode_and_format(data):
    image = image_files.open_image(data)
    assert image.mode == "RGBA"
    assert [image.getpixel((x, 4))[3] for x in (2, 13)] == pytest.approx([255, 0], abs=3)  # AVIF is lossy
    assert min(image_files.flatten(image).getpixel((13, 4))) > 250


def test_cmyk_and_palette_images_have_their_colors():
    for data in (file_of(quarters().convert("CMYK"), "JPEG", quality=95), file_of(quarters().quantize(4))):
        image = image_files.open_image(data)
        assert image.mode == "RGB"
        assert is_upright(image)


def test_16_bit_levels_are_scaled_to_8_bits():
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    image = image_files.open_image(file_of(Image.fromarray(levels)))
    assert image.mode == "L"
    assert np.array_equal(np.asarray(image), levels // 257)


@pytest.mark.parametrize(("data", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_the_reason_is_named(data, reason):
    with pytest.raises(UnusableImage) as unusable:
        image_files.verify(data)
    assert reason.replace("not an image", "not_an_image") in str(unusable.value)
    with pytest.raises(UnusableImage):
        image_files.open_image(data)


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_file_damaged_beyond_its_header_is_refused_before_it_is_drawn_from(data):
    with pytest.raises(UnusableImage) as unusable:
        image_files.verify(data)
    assert unusable.value.reason == "damaged"


def test_a_truncated_file_is_refused_in_every_process():
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_phone_s_jpeg_with_further_images_is_a_jpeg():
    data = file_of(quarters(), "MPO", save_all=True, append_images=[quarters(64, 64)])
    image_files.verify(data)
    with image_files.opened(data) as image:
        assert image.format == "JPEG"
    assert is_upright(image_files.open_image(data), (192, 128))


def test_a_decompression_bomb_has_too_many_pixels():
    bomb = bytearray(file_of(Image.new("1", (8, 8))))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2  # width and height in the IHDR chunk, before its checksum
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    with pytest.raises(UnusableImage) as unusable:
        image_files.read_size(bytes(bomb))
    assert unusable.value.reason == "pixels"


@pytest.mark.parametrize(
    ("beginning", "name"),
    [
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\xff\x0a", "JPEG XL"),
        (b"%PDF-1.7", "PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"8BPS", "PSD"),
    ],
)
def test_unsupported_formats_are_named(beginning, name):
    with pytest.raises(UnusableImage) as unusable:
        image_files.verify(beginning + bytes(100))
    assert (unusable.value.reason, unusable.value.found) == ("format", name)


def test_metadata_is_read_without_turning_the_image():
    with image_files.opened(photo(192, 128)) as image:
        assert image.size == (128, 192)
    assert Image.open(io.BytesIO(photo(192, 128))).size == (128, 192)


# Few at a time -------------------------------------------------------------------------------------------------------


def square(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "PNG", compress_level=1)
    return file.getvalue()


class Concurrency:
    """Counts the calls that are inside at the same time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = self.most = 0

    def __call__(self, files: list[bytes]) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        for file in files:
            image_files.verify(file)  # takes no second place
        time.sleep(0.02)
        with self.lock:
            self.inside -= 1


def most_at_a_time(side: int) -> int:
    """The most of eight simultaneous calls, each with two files, that are inside together."""
    concurrency, together = Concurrency(), threading.Barrier(8)
    decode, file = image_files.few_at_a_time(concurrency), square(side)

    def call(_index: int) -> None:
        together.wait()
        decode([file, file])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(8)))
    return concurrency.most


def test_large_files_are_decoded_two_calls_at_a_time():
    assert most_at_a_time(1600) <= 2
    assert most_at_a_time(64) > 2


def test_place_of_a_refused_file_is_free_again():
    @image_files.few_at_a_time
    def refuse(_data: bytes) -> None:
        raise UnusableImage("damaged")

    for _ in range(3):
        with pytest.raises(UnusableImage):
            refuse(square(2200))
