"""Picture files with the infotext where A1111's users look for it: a PNG's text chunk, EXIF in JPEG and WebP. Pure."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable

from PIL import Image
from PIL.ExifTags import IFD, Base

from gpu_runner.protocol.generation_request import Mark

PNG_HEAD = 8 + 25  # the signature and the IHDR chunk: a text chunk may follow


def with_infotext(
    png: bytes, output_format: str, infotext: str, key: str = "parameters", *, quality: int = 95
) -> bytes:
    """From the runner's PNG to the file that the client asked for. ``quality``: 1 to 100, of JPEG and WebP."""
    if output_format == "png":
        return _png(png, infotext, key)
    with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, output_format.upper(), quality=quality, exif=_exif(infotext))
    return buffer.getvalue()


def with_marks(data: bytes, marks: Iterable[Mark]) -> bytes:
    for mark in marks:
        data = _png(data, mark.text, mark.key)
    return data


def infotext_of(data: bytes) -> str:
    """What a PNG says about how it was drawn; empty for any other file."""
    with Image.open(io.BytesIO(data)) as picture:
        text = picture.info.get("parameters", "")
    return text if isinstance(text, str) else ""


def _png(png: bytes, infotext: str, key: str) -> bytes:
    """The chunk goes in as it is: to compress the picture again would cost more than all the rest."""
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("not a PNG file")
    return png[:PNG_HEAD] + _text_chunk(key, infotext) + png[PNG_HEAD:] if infotext else png


def _text_chunk(key: str, text: str) -> bytes:
    try:
        kind, body = b"tEXt", key.encode() + b"\0" + text.encode("latin-1")
    except UnicodeEncodeError:
        kind, body = b"iTXt", key.encode() + b"\0\0\0\0\0" + text.encode()
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _exif(infotext: str) -> bytes:
    exif = Image.Exif()
    if infotext:
        exif.get_ifd(IFD.Exif)[Base.UserComment] = b"UNICODE\0" + infotext.encode("utf-16-be")
    return exif.tobytes()
