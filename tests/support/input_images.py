"""Image files as clients send them: photos with an EXIF orientation, every mode and format, and unusable ones."""

import io
import zlib

import numpy as np
from PIL import Image
from PIL.ExifTags import Base

COLORS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
# Orientation -> how a camera stores an upright image with it: the inverse of the transposition that viewers apply.
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def file_of(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def quarters(width: int = 192, height: int = 128) -> Image.Image:
    """Red, green, blue and white quarters, in reading order."""
    image = Image.new("RGB", (2, 2))
    image.putdata(list(COLORS.values()))
    return image.resize((width, height), Image.Resampling.NEAREST)


def photo(width: int = 192, height: int = 128, orientation: int = 6, file_format: str = "JPEG") -> bytes:
    """``quarters`` of this size as a viewer shows it, stored with an EXIF orientation."""
    image, transposition = quarters(width, height), STORED_AS[orientation]
    stored = image if transposition is None else image.transpose(transposition)
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    return file_of(stored, file_format, exif=exif, quality=95)


def is_upright(image: Image.Image, size: tuple[int, int] | None = None) -> bool:
    """Whether the image looks like ``quarters``, at any size or at this one."""
    pixels = np.asarray(image.convert("RGB").resize((8, 8), Image.Resampling.BOX), float)
    corners = [pixels[y, x] for y in (1, 6) for x in (1, 6)]
    close = all(
        np.abs(corner - color).max() < 60 for corner, color in zip(corners, COLORS.values(), strict=True)
    )
    return close and size in (None, image.size)


def _half(file_format: str, **options: object) -> bytes:
    """A file that was not transferred to its end."""
    data = file_of(_texture(), file_format, **options)
    return data[: len(data) // 2]


def _texture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8))


def _png_with_damaged_pixels() -> bytes:
    """A PNG whose chunk has the right length and checksum, but whose pixels are not those that were compressed."""
    data = bytearray(file_of(_texture()))
    begin = data.index(b"IDAT")
    length = int.from_bytes(data[begin - 4 : begin], "big")
    end = begin + 4 + length
    data[end - 4 : end] = bytes(4)  # zlib's checksum of the pixels
    data[end : end + 4] = zlib.crc32(data[begin:end]).to_bytes(4, "big")
    return bytes(data)


# Files whose headers are right.
DAMAGED = {
    "JPEG": _half("JPEG"),
    "progressive JPEG": _half("JPEG", progressive=True),
    "PNG": _png_with_damaged_pixels(),
    "WEBP": _half("WEBP"),
    "BMP": _half("BMP"),
    "GIF": _half("GIF"),
    "AVIF": file_of(_texture(), "AVIF")[:-200],
}
UNUSABLE = {
    "too many pixels": (file_of(Image.new("1", (9000, 9000))), "pixels"),
    "an unsupported format": (file_of(quarters(), "TIFF"), "TIFF"),
    "no image": (b"<html>not found</html>", "not an image"),
    "a damaged file": (file_of(quarters())[:60], "damaged"),
}
