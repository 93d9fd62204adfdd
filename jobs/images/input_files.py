"""Reading of images sent by clients: checked, first frame, upright. Refusals name their reason."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator

from django.utils.translation import gettext as _
from PIL import Image

from gpu_runner.protocol.images import files as image_files
from gpu_runner.protocol.images.files import FORMATS, MAX_PIXELS, UnusableImage
from jobs.errors import InvalidImage

MAX_INPUT_BYTES = 32 * 1024 * 1024
# Hashes of the files that passed last: a request's files are checked when they are read, and when they are stored.
MAX_INTACT = 256
_intact: dict[bytes, None] = {}
_lock = threading.Lock()


def check_image(data: bytes) -> None:
    """Check size, format and pixel count of an input image, and that it can be decoded. Raises InvalidImage."""
    if len(data) > MAX_INPUT_BYTES:
        message = _("An input image must have at most %(limit)d MB (got %(size).1f MB).")
        message %= {"limit": MAX_INPUT_BYTES >> 20, "size": len(data) / 2**20}
        raise InvalidImage(message, field="init_images")
    digest = hashlib.sha256(data).digest()
    if digest in _intact:
        return
    with _as_refusal():
        image_files.verify(data)
    with _lock:
        _intact[digest] = None
        if len(_intact) > MAX_INTACT:
            del _intact[next(iter(_intact))]


def open_image(data: bytes) -> Image.Image:
    """Decode the first frame, upright: RGBA if it has transparency, else RGB or L. Raises InvalidImage."""
    with _as_refusal():
        return image_files.open_image(data)


def read_size(data: bytes) -> tuple[int, int]:
    """Width and height of the upright image in pixels. Raises InvalidImage."""
    with _as_refusal():
        return image_files.read_size(data)


@contextlib.contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """Open a file for its metadata; size and pixels are as stored. Raises InvalidImage."""
    with _as_refusal(), image_files.opened(data) as image:
        yield image


@contextlib.contextmanager
def _as_refusal() -> Iterator[None]:
    try:
        yield
    except UnusableImage as error:
        raise InvalidImage(_reason(error), field="init_images") from error


def _reason(error: UnusableImage) -> str:
    values = {"formats": ", ".join(FORMATS), "limit": MAX_PIXELS, "found": error.found}
    match error.reason:
        case "pixels":
            return _("An input image must have at most %(limit)d pixels (got %(found)s).") % values
        case "format":
            return _("The format %(found)s is not supported. Supported formats: %(formats)s.") % values
        case "damaged":
            return (
                _("An input image cannot be decoded: the %(found)s file is damaged or incomplete.") % values
            )
        case "not_an_image":
            return _("An input image is not an image file. Supported formats: %(formats)s.") % values
