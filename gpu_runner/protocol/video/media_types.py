"""Media types of files that ComfyUI saves, judged by their bytes and never by their names. No torch, no Django."""

from __future__ import annotations

from typing import NamedTuple

from gpu_runner.protocol.images import files as image_files

MP4, WEBM, APNG, WEBP, GIF = "video/mp4", "video/webm", "image/apng", "image/webp", "image/gif"
ANIMATED = frozenset({APNG, WEBP, GIF})  # Pillow reads and writes these
VIDEO = frozenset({MP4, WEBM})
STILL_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "BMP": "image/bmp", "AVIF": "image/avif"}
ANIMATED_TYPES = {"PNG": APNG, "WEBP": WEBP, "GIF": GIF}
# Brands of MP4 files; ``qt  `` (QuickTime) is not one, because browsers do not play it.
MP4_BRANDS = (b"iso", b"mp4", b"avc", b"M4V", b"dash", b"mmp4", b"hvc1", b"av01")
EBML = b"\x1a\x45\xdf\xa3"
DOC_TYPE = b"\x42\x82"
HEAD = 100  # the EBML header with its DocType is shorter


class Media(NamedTuple):
    """Media type of a file, and whether it moves: a video, or an image of several frames."""

    type: str
    moves: bool


class UnknownMedia(ValueError):
    """The file is neither an image nor a video of the supported types."""


def media_of(data: bytes) -> Media:
    """Return the media type of a file. Raises UnknownMedia."""
    if container := container_of(data):
        return Media(container, moves=True)
    if data.startswith(EBML):
        raise UnknownMedia("a Matroska file other than WebM")
    try:
        with image_files.opened(data) as image:
            kind = str(image.format)
            if kind in ANIMATED_TYPES and getattr(image, "n_frames", 1) > 1:
                return Media(ANIMATED_TYPES[kind], moves=True)
    except image_files.UnusableImage as error:
        raise UnknownMedia("a file of an unknown type") from error
    return Media(STILL_TYPES.get(kind) or ANIMATED_TYPES[kind], moves=False)


def container_of(data: bytes) -> str:
    """Return the media type of an MP4 or WebM file; empty for all others."""
    if data[4:8] == b"ftyp" and data[8:12].startswith(MP4_BRANDS):
        return MP4
    return WEBM if data.startswith(EBML) and _doc_type(data) == b"webm" else ""


def _doc_type(data: bytes) -> bytes:
    at = data.find(DOC_TYPE, 0, HEAD)
    if at < 0 or len(data) < at + 3:
        return b""
    size = data[at + 2] & 0x7F
    return data[at + 3 : at + 3 + size].rstrip(b"\0")
