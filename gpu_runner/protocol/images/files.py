"""Reading of image files: supported formats, pixel limit, EXIF orientation. The only module that calls ``Image.open``.

Platform and runner both read files with it, so that they see the same image: its first frame, upright, in 8 bits.
"""

from __future__ import annotations

import contextlib
import functools
import io
import threading
from collections.abc import Callable, Iterator
from typing import Literal, ParamSpec, TypeVar

from PIL import Image
from PIL.ExifTags import Base

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "AVIF")
MAX_PIXELS = 64 * 1024 * 1024
# A process with many threads decodes few large images at a time, each of which takes up to 256 MB.
LARGE = 4 * 1024 * 1024  # pixels
_large_decodes = threading.BoundedSemaphore(2)
_held = threading.local()
# EXIF orientation -> the transposition that makes the image upright. 1 is upright.
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
EXCHANGE_SIDES = frozenset({5, 6, 7, 8})
LEVELS_OF_16_BITS = [level // 257 for level in range(65536)]
# Formats by their first bytes, to name the format of a file that cannot be opened: offset, bytes, name.
SIGNATURES = (
    (0, b"\x89PNG\r\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (8, b"WEBP", "WEBP"),
    (0, b"BM", "BMP"),
    (0, b"GIF8", "GIF"),
    (4, b"ftypavi", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftypmsf1", "HEIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"8BPS", "PSD"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"%PDF", "PDF"),
    (0, b"<svg", "SVG"),
    (0, b"<?xml", "SVG"),
)

P = ParamSpec("P")
R = TypeVar("R")
Reason = Literal["not_an_image", "format", "damaged", "pixels"]


class UnusableImage(ValueError):
    """A file cannot be used as an image. ``found``: its format, or for "pixels" its size; may be empty."""

    def __init__(self, reason: Reason, found: str = "") -> None:
        super().__init__(f"{reason}: {found}")
        self.reason = reason
        self.found = found


@contextlib.contextmanager
def opened(data: bytes, max_pixels: int | None = MAX_PIXELS) -> Iterator[Image.Image]:
    """Open a file for its metadata, without decoding it. Size and pixels are as stored, so not always upright.

    Raises UnusableImage, also for errors of Pillow in the ``with`` block.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.format == "MPO":  # a JPEG with further images, as many phones write it
                image.format = "JPEG"
            if max_pixels and image.width * image.height > max_pixels:
                raise UnusableImage("pixels", f"{image.width}x{image.height}")
            yield image
    except UnusableImage:
        raise
    except Image.DecompressionBombError as error:  # raised by Image.open from twice MAX_IMAGE_PIXELS
        raise UnusableImage("pixels", f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels") from error
    except Exception as error:  # Pillow's decoders raise many exception types on damaged files
        raise _cause(data) from error


def open_image(data: bytes, max_pixels: int | None = MAX_PIXELS) -> Image.Image:
    """Decode the first frame, upright: RGBA if it has transparency, else RGB or L. Raises UnusableImage.

    ``max_pixels``: None for files that are not a client's.
    """
    with opened(data, max_pixels) as image:
        orientation = _orientation(image)
        decoded = _in_8_bits(image)
    return decoded.transpose(TRANSPOSITIONS[orientation]) if orientation in TRANSPOSITIONS else decoded


def flatten(image: Image.Image, background: str = "white") -> Image.Image:
    """Return the image in RGB, composited over the background color."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, background), image).convert("RGB")


def read_size(data: bytes) -> tuple[int, int]:
    """Width and height of the upright image in pixels, without decoding it. Raises UnusableImage."""
    with opened(data) as image:
        width, height = image.size
        return (height, width) if _orientation(image) in EXCHANGE_SIDES else (width, height)


def verify(data: bytes) -> None:
    """Check format, pixel count and integrity, by decoding all pixels of the first frame. Raises UnusableImage.

    Pillow's own ``verify`` compares the checksums of PNG chunks, and does little for other formats. A JPEG is decoded at
    an eighth of its size, which reads the whole file too.
    """
    with opened(data) as image:
        image.verify()
    with opened(data) as image, _room_for(image.width * image.height):
        image.draft(image.mode, (1, 1))
        image.load()


def few_at_a_time(decodes: Callable[P, R]) -> Callable[P, R]:
    """Decorator of functions that decode files: two calls at a time in a process, if their files are large.

    Its arguments that are bytes, or lists of bytes, are the files. What the function returns should be small.
    """

    @functools.wraps(decodes)
    def bounded(*args: P.args, **kwargs: P.kwargs) -> R:
        given = [*args, *kwargs.values()]
        files = [file for value in given for file in (value if isinstance(value, list | tuple) else [value])]
        with _room_for(sum(_pixels(file) for file in files if isinstance(file, bytes))):
            return decodes(*args, **kwargs)

    return bounded


@contextlib.contextmanager
def _room_for(pixels: int) -> Iterator[None]:
    if pixels <= LARGE or getattr(_held, "place", False):  # a thread that has a place needs no second one
        yield
        return
    with _large_decodes:
        _held.place = True
        try:
            yield
        finally:
            _held.place = False


def _pixels(data: bytes) -> int:
    try:
        width, height = read_size(data)
    except UnusableImage:
        return 0
    return width * height


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(Base.Orientation, 1)
    except Exception:  # damaged EXIF data is no reason to refuse an image
        return 1
    return orientation if isinstance(orientation, int) else 1


def _in_8_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits per pixel, which convert("L") would clip
        return image.convert("I").point(LEVELS_OF_16_BITS, "L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _cause(data: bytes) -> UnusableImage:
    name = _format_by_signature(data)
    if not name:
        return UnusableImage("not_an_image")
    return UnusableImage("damaged" if name in FORMATS else "format", name)


def _format_by_signature(data: bytes) -> str:
    beginning = data[:16]
    return next((name for start, bytes_, name in SIGNATURES if beginning.startswith(bytes_, start)), "")
