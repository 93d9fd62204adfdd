"""MP4 files: facts, removal of foreign metadata, and labels. Pure functions on bytes; ISO/IEC 14496-12.

A file is a sequence of boxes: a length of 4 bytes (1: 8 more bytes follow), a type of 4 bytes, and the content.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from .facts import BadVideo, VideoFacts

XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
FOREIGN = frozenset({b"udta", b"meta", b"uuid"})  # in moov or at the top: the graph, as ComfyUI writes it
MAX_BOXES = 100_000


class Box(NamedTuple):
    """A box: its type, and where it, its content and its end are in the file."""

    kind: bytes
    start: int
    content: int
    end: int


def facts(data: bytes) -> VideoFacts:
    """Return the facts of the first video track. Raises BadVideo."""
    try:
        for track in _boxes(data, _find(data, b"moov")):
            if track.kind == b"trak" and (found := _of_track(data, track)):
                return found.checked()
    except (struct.error, IndexError) as error:
        raise BadVideo("the file is damaged") from error
    raise BadVideo("the file has no video track")


def without_metadata(data: bytes) -> bytes:
    """Return the file with all metadata overwritten, so that no offset of the file changes. Raises BadVideo."""
    cleaned = bytearray(data)
    top = list(_boxes(data))
    movie = _find(data, b"moov")
    tracks = [box for box in _boxes(data, movie) if box.kind == b"trak"]
    inner = [box for parent in (movie, *tracks) for box in _boxes(data, parent)]
    for box in (*top, *inner):
        if box.kind in FOREIGN:
            cleaned[box.start + 4 : box.start + 8] = b"free"
            cleaned[box.content : box.end] = bytes(box.end - box.content)
    return bytes(cleaned)


def labeled(data: bytes, aigc_json: str, xmp: bytes) -> bytes:
    """Add the AIGC object under the key ``AIGC`` of moov.udta.meta, and an XMP packet. Raises BadVideo."""
    if aigc_json:
        data = _with_key(data, b"AIGC", aigc_json.encode())
    return data + _box(b"uuid", XMP_UUID + xmp) if xmp else data


def aigc_of(data: bytes) -> str:
    """Return the value of the key ``AIGC`` of moov.udta.meta; empty if there is none. Raises BadVideo."""
    movie = _find(data, b"moov")
    for user in (box for box in _boxes(data, movie) if box.kind == b"udta"):
        for meta in (box for box in _boxes(data, user) if box.kind == b"meta"):
            parts = {box.kind: box for box in _within(data, meta.content + 4, meta.end)}
            if b"keys" not in parts or b"ilst" not in parts or b"AIGC" not in _content(data, parts[b"keys"]):
                continue
            for entry in _boxes(data, parts[b"ilst"]):
                for value in _boxes(data, entry):
                    return data[value.content + 8 : value.end].decode(errors="replace")
    return ""


def xmp_of(data: bytes) -> bytes:
    """Return the XMP packet; empty if there is none. Raises BadVideo."""
    for box in _boxes(data):
        if box.kind == b"uuid" and _content(data, box).startswith(XMP_UUID):
            return _content(data, box)[len(XMP_UUID) :]
    return b""


def _with_key(data: bytes, key: bytes, value: bytes) -> bytes:
    handler = _box(b"hdlr", bytes(8) + b"mdta" + bytes(13))
    keys = _box(b"keys", bytes(4) + struct.pack(">I", 1) + struct.pack(">I", 8 + len(key)) + b"mdta" + key)
    entry = struct.pack(">II", 24 + len(value), 1) + _box(b"data", struct.pack(">II", 1, 0) + value)
    meta = _box(b"meta", bytes(4) + handler + keys + _box(b"ilst", entry))
    added = _box(b"udta", meta)
    movie = _find(data, b"moov")
    if movie.content - movie.start != 8:
        raise BadVideo("the length of its index is of an unusual form")
    content = bytearray(data[movie.content : movie.end] + added)
    _shift_offsets(content, after=movie.end, by=len(added))
    return data[: movie.start] + _box(b"moov", bytes(content)) + data[movie.end :]


def _shift_offsets(content: bytearray, after: int, by: int) -> None:
    """Add to the offsets of samples that lie behind the index, which grows."""
    for track in (box for box in _boxes(content) if box.kind == b"trak"):
        for box in _deep(content, track):
            width = {b"stco": 4, b"co64": 8}.get(box.kind)
            if not width:
                continue
            (count,) = struct.unpack_from(">I", content, box.content + 4)
            if box.content + 8 + count * width > box.end:
                raise BadVideo("the file is damaged")
            form = f">{count}{'I' if width == 4 else 'Q'}"
            old = struct.unpack_from(form, content, box.content + 8)
            moved = [place + by if place >= after else place for place in old]
            struct.pack_into(form, content, box.content + 8, *moved)


def _of_track(data: bytes, track: Box) -> VideoFacts | None:
    parts = {box.kind: box for box in _deep(data, track)}
    if not {b"tkhd", b"hdlr", b"mdhd", b"stsz"} <= parts.keys():
        return None
    if data[parts[b"hdlr"].content + 8 : parts[b"hdlr"].content + 12] != b"vide":
        return None
    width, height = struct.unpack(">II", data[parts[b"tkhd"].end - 8 : parts[b"tkhd"].end])
    header = parts[b"mdhd"].content
    if data[header] == 1:
        scale, length = struct.unpack_from(">IQ", data, header + 20)
    else:
        scale, length = struct.unpack_from(">II", data, header + 12)
    (frames,) = struct.unpack_from(">I", data, parts[b"stsz"].content + 8)
    return VideoFacts(width >> 16, height >> 16, frames, length / scale if scale else 0.0)


def _find(data: bytes, kind: bytes) -> Box:
    for box in _boxes(data):
        if box.kind == kind:
            return box
    raise BadVideo(f"the file has no {kind.decode()} box")


def _deep(data: bytes | bytearray, parent: Box) -> Iterator[Box]:
    for box in _boxes(data, parent):
        yield box
        if box.kind in CONTAINERS:
            yield from _deep(data, box)


def _boxes(data: bytes | bytearray, parent: Box | None = None) -> Iterator[Box]:
    yield from _within(data, parent.content if parent else 0, parent.end if parent else len(data))


def _within(data: bytes | bytearray, at: int, end: int) -> Iterator[Box]:
    for _number in range(MAX_BOXES):
        if at + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            if at + 16 > end:
                raise BadVideo("the file is damaged")
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        elif size == 0:
            size = end - at
        if size < head or at + size > end:
            raise BadVideo("the file is damaged: a box is longer than what contains it")
        yield Box(bytes(kind), at, at + head, at + size)
        at += size


def _content(data: bytes, box: Box) -> bytes:
    return data[box.content : box.end]


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content
