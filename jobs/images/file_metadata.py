"""Metadata of image files: the infotext as in A1111 (PNG text chunk, EXIF UserComment in JPEG and WebP), and labels.

The implicit label is an XMP packet in every format, and a PNG text chunk ``AIGC`` as well. UserComment, where some
readers look for it, holds it in files without an infotext. Pure functions.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterable

from PIL import Image
from PIL.ExifTags import IFD, Base

from gpu_runner.protocol.images import files as image_files
from gpu_runner.protocol.request_parts.outputs import Mark

from .labels import aigc
from .labels.implicit import NONE, ImplicitLabel

MAX_EXIF_BYTES = 65_533  # of a segment of a JPEG file, without its length
EXIF_OVERHEAD = 256  # the tables around the comment
SHORTENED = "… [shortened: a JPEG file cannot hold a longer text]"
XMP_KEY = b"XML:com.adobe.xmp"
PNG_HEAD = 8 + 25  # the signature and the IHDR chunk: a text chunk may follow


def with_infotext(
    png: bytes,
    output_format: str,
    infotext: str,
    key: str = "parameters",
    *,
    quality: int = 95,
    label: ImplicitLabel = NONE,
) -> bytes:
    """Convert the runner's PNG to the output format and add the infotext and the implicit label.

    ``quality``: 1 to 100, for JPEG and WebP. The infotext of a JPEG file is shortened to what its EXIF data can hold.
    """
    infotext = infotext.encode(errors="replace").decode()  # unpaired surrogates
    if output_format == "jpeg":
        infotext = _shortened(infotext)
    if output_format == "png":
        return _png(with_label(png, label), infotext, key)
    image = image_files.open_image(png, max_pixels=None)
    buffer = io.BytesIO()
    if output_format == "jpeg":  # has no transparency
        image = image_files.flatten(image)
    exif = _exif(infotext) if infotext or not label.aigc else _exif_with_aigc(label)
    image.save(buffer, output_format.upper(), quality=quality, exif=exif, xmp=label.xmp)
    return buffer.getvalue()


def with_marks(data: bytes, marks: Iterable[Mark]) -> bytes:
    for mark in marks:
        data = _png(data, mark.text, mark.key)
    return data


def with_label(png: bytes, label: ImplicitLabel) -> bytes:
    """Add the implicit label to a PNG file. Raises ValueError if not a PNG."""
    png = _png(png, label.aigc_json, aigc.KEY)
    # Readers of XMP accept it only in an iTXt chunk, uncompressed.
    return _insert(png, b"iTXt", XMP_KEY + b"\0\0\0\0\0" + label.xmp) if label.xmp else png


def exif_of(label: ImplicitLabel) -> bytes:
    """EXIF data of a file without an infotext."""
    return _exif_with_aigc(label) if label.aigc else b""


def infotext_of(data: bytes) -> str:
    """Generation parameters of a PNG file; empty for other files."""
    with image_files.opened(data) as image:
        text = image.info.get("parameters", "")
    return text if isinstance(text, str) else ""


def _png(png: bytes, infotext: str, key: str) -> bytes:
    """Insert a text chunk after IHDR, without the cost of re-encoding. Raises ValueError if not a PNG."""
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("not a PNG file")
    return _insert(png, *_text_chunk(key, infotext)) if infotext else png


def _insert(png: bytes, kind: bytes, body: bytes) -> bytes:
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return png[:PNG_HEAD] + chunk + png[PNG_HEAD:]


def _text_chunk(key: str, text: str) -> tuple[bytes, bytes]:
    """Type and content of a text chunk."""
    try:
        return b"tEXt", key.encode() + b"\0" + text.encode("latin-1")
    except UnicodeEncodeError:
        return b"iTXt", key.encode() + b"\0\0\0\0\0" + text.encode()


def _shortened(text: str) -> str:
    """Cut the prompts of an infotext, with a note. The last line has the parameters, by which it can be read again."""
    limit = MAX_EXIF_BYTES - EXIF_OVERHEAD
    if len(_utf16(text)) <= limit:
        return text
    start, newline, parameters = text.rpartition("\n")
    end = SHORTENED + newline + parameters
    if len(_utf16(end)) >= limit:
        start, end = text, SHORTENED
    kept = _utf16(start)[: limit - len(_utf16(end))]
    return kept.decode("utf-16-be", errors="ignore") + end


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be")


def _exif(infotext: str) -> bytes:
    exif = Image.Exif()
    if infotext:
        exif.get_ifd(IFD.Exif)[Base.UserComment] = b"UNICODE\0" + infotext.encode("utf-16-be")
    return exif.tobytes()


def _exif_with_aigc(label: ImplicitLabel) -> bytes:
    exif = Image.Exif()
    text = json.dumps({aigc.KEY: label.aigc})  # ASCII, which every reader decodes
    exif.get_ifd(IFD.Exif)[Base.UserComment] = b"ASCII\0\0\0" + text.encode("ascii")
    return exif.tobytes()
