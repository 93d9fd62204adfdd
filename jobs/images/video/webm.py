"""WebM files: facts, removal of foreign metadata, and labels. Pure functions on bytes; RFC 8794 (EBML), RFC 9559 (Matroska).

A file is a sequence of elements: an id of 1 to 4 bytes, a length of 1 to 8 bytes, and the content. An element whose length is
all ones ends where what contains it ends.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from .facts import BadVideo, VideoFacts

SEGMENT, INFO, TRACKS, CLUSTER, TAGS, ATTACHMENTS = (
    0x18538067,
    0x1549A966,
    0x1654AE6B,
    0x1F43B675,
    0x1254C367,
    0x1941A469,
)
TIMESTAMP_SCALE, DURATION = 0x2AD7B1, 0x4489
TRACK_ENTRY, TRACK_NUMBER, TRACK_TYPE, VIDEO = 0xAE, 0xD7, 0x83, 0xE0
PIXEL_WIDTH, PIXEL_HEIGHT = 0xB0, 0xBA
SIMPLE_BLOCK, BLOCK_GROUP, BLOCK = 0xA3, 0xA0, 0xA1
TAG, TARGETS, SIMPLE_TAG, TAG_NAME, TAG_STRING = 0x7373, 0x63C0, 0x67C8, 0x45A3, 0x4487
TITLE, VOID = 0x7BA9, 0xEC
VIDEO_TRACK = 1
MAX_ELEMENTS = 200_000
# Size fields of 8 bytes can hold any new length in place.
WIDE = 8


class Element(NamedTuple):
    """An element: its id, and where it, its content and its end are in the file. ``open_end``: of unknown length."""

    id: int
    start: int
    content: int
    end: int
    open_end: bool = False


def facts(data: bytes) -> VideoFacts:
    """Return the facts of the first video track. Raises BadVideo."""
    try:
        return _facts(data).checked()
    except (struct.error, IndexError) as error:
        raise BadVideo("the file is damaged") from error


def _facts(data: bytes) -> VideoFacts:
    segment = _segment(data)
    scale, duration, width, height, track, frames = 1_000_000, 0.0, 0, 0, -1, 0
    for part in _elements(data, segment):
        if part.id == INFO:
            for field in _elements(data, part):
                if field.id == TIMESTAMP_SCALE:
                    scale = _number(data, field)
                elif field.id == DURATION:
                    duration = _float(data, field)
        elif part.id == TRACKS:
            track, width, height = _video_track(data, part)
        elif part.id == CLUSTER:
            frames += sum(_block_track(data, block) == track for block in _blocks(data, part))
    if track < 0:
        raise BadVideo("the file has no video track")
    return VideoFacts(width, height, frames, duration * scale / 1e9)


def without_metadata(data: bytes) -> bytes:
    """Return the file with tags, attachments and title overwritten, so that no offset changes. Raises BadVideo."""
    cleaned = bytearray(data)
    for part in _elements(data, _segment(data)):
        if part.id in (TAGS, ATTACHMENTS):
            _erase(cleaned, part)
        elif part.id == INFO:
            for field in _elements(data, part):
                if field.id == TITLE:
                    cleaned[field.content : field.end] = b" " * (field.end - field.content)
    return bytes(cleaned)


def labeled(data: bytes, aigc_json: str, xmp: bytes) -> bytes:
    """Add the AIGC object and the XMP packet as tags ``AIGC`` and ``XMP``. Raises BadVideo."""
    values = {b"AIGC": aigc_json.encode(), b"XMP": xmp}
    tags = b"".join(
        _element(SIMPLE_TAG, _element(TAG_NAME, name) + _element(TAG_STRING, value))
        for name, value in values.items()
        if value
    )
    if not tags:
        return data
    added = _element(TAGS, _element(TAG, _element(TARGETS, b"") + tags))
    segment = _segment(data)
    for part in _elements(
        data, segment
    ):  # where the metadata was, if it is long enough: its place is in the index
        rest = part.end - part.start - len(added)
        if part.id == VOID and rest >= 2:
            return data[: part.start] + added + _void(rest) + data[part.end :]
    if segment.open_end:
        return data + added
    if segment.end != len(data) or segment.content - segment.start != 4 + WIDE:
        raise BadVideo("the length of its segment is of an unusual form")
    length = segment.end - segment.content + len(added)
    size = (length | 1 << 7 * WIDE).to_bytes(WIDE, "big")
    return data[: segment.start + 4] + size + data[segment.content :] + added


def tags_of(data: bytes) -> dict[str, str]:
    """Return the tags of the file. Raises BadVideo."""
    found: dict[str, str] = {}
    for part in _elements(data, _segment(data)):
        if part.id != TAGS:
            continue
        for tag in _elements(data, part):
            for simple in (one for one in _elements(data, tag) if one.id == SIMPLE_TAG):
                fields = {one.id: data[one.content : one.end] for one in _elements(data, simple)}
                name = fields.get(TAG_NAME, b"").decode(errors="replace")
                found[name] = fields.get(TAG_STRING, b"").decode(errors="replace")
    return found


def _segment(data: bytes) -> Element:
    for element in _within(data, 0, len(data)):
        if element.id == SEGMENT:
            return element
    raise BadVideo("the file has no segment")


def _video_track(data: bytes, tracks: Element) -> tuple[int, int, int]:
    """Number, width and height of the first video track; a number of -1 if there is none."""
    for entry in _elements(data, tracks):
        fields = {one.id: one for one in _elements(data, entry)} if entry.id == TRACK_ENTRY else {}
        if VIDEO not in fields or TRACK_NUMBER not in fields or TRACK_TYPE not in fields:
            continue
        if _number(data, fields[TRACK_TYPE]) == VIDEO_TRACK:
            sides = {
                one.id: _number(data, one)
                for one in _elements(data, fields[VIDEO])
                if one.id in (PIXEL_WIDTH, PIXEL_HEIGHT)
            }
            return _number(data, fields[TRACK_NUMBER]), sides.get(PIXEL_WIDTH, 0), sides.get(PIXEL_HEIGHT, 0)
    return -1, 0, 0


def _blocks(data: bytes, cluster: Element) -> Iterator[Element]:
    for element in _elements(data, cluster):
        if element.id == SIMPLE_BLOCK:
            yield element
        elif element.id == BLOCK_GROUP:
            yield from (one for one in _elements(data, element) if one.id == BLOCK)


def _block_track(data: bytes, block: Element) -> int:
    return _vint(data, block.content, block.end)[0]


def _erase(data: bytearray, element: Element) -> None:
    """Overwrite an element with a Void element of the same size."""
    data[element.start : element.end] = _void(element.end - element.start)


def _void(length: int) -> bytes:
    """A Void element of ``length`` bytes, at least 2."""
    if length >= 1 + WIDE:
        head = bytes([VOID]) + ((length - 1 - WIDE) | 1 << 7 * WIDE).to_bytes(WIDE, "big")
    else:
        head = bytes([VOID, 0x80 | (length - 2)])
    return head + bytes(length - len(head))


def _elements(data: bytes, parent: Element) -> Iterator[Element]:
    yield from _within(data, parent.content, parent.end)


def _within(data: bytes, at: int, end: int) -> Iterator[Element]:
    for _number_of_element in range(MAX_ELEMENTS):
        if at >= end:
            return
        id_length = _length(data[at], 4)
        element_id = int.from_bytes(data[at : at + id_length], "big")
        size, content = _vint(data, at + id_length, end)
        if size < 0:  # only segments and clusters may have an unknown length
            stop = _end_of_unknown(data, element_id, content, end)
            yield Element(element_id, at, content, stop, open_end=True)
            at = stop
            continue
        if content + size > end:
            raise BadVideo("the file is damaged: an element is longer than what contains it")
        yield Element(element_id, at, content, content + size)
        at = content + size


def _end_of_unknown(data: bytes, element_id: int, at: int, end: int) -> int:
    if element_id == SEGMENT:
        return end
    if element_id != CLUSTER:
        raise BadVideo("the file is damaged: an element has no length")
    while at < end:
        id_length = _length(data[at], 4)
        if int.from_bytes(data[at : at + id_length], "big") in (CLUSTER, TAGS, 0x1C53BB6B):  # the last: cues
            return at
        size, content = _vint(data, at + id_length, end)
        at = content + max(0, size)
    return end


def _vint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A number of variable length, and where it ends; -1 for an unknown length."""
    if at >= end:
        raise BadVideo("the file is damaged")
    length = _length(data[at], 8)
    if at + length > end:
        raise BadVideo("the file is damaged")
    value = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
    return (-1 if value == (1 << 7 * length) - 1 else value), at + length


def _length(first: int, longest: int) -> int:
    length = 9 - first.bit_length()
    if length > longest:
        raise BadVideo("the file is damaged")
    return length


def _number(data: bytes, element: Element) -> int:
    return int.from_bytes(data[element.content : element.end][:8], "big")


def _float(data: bytes, element: Element) -> float:
    content = data[element.content : element.end]
    value: float = struct.unpack(">d" if len(content) == 8 else ">f", content)[0]
    return value


def _element(element_id: int, content: bytes) -> bytes:
    head = element_id.to_bytes((element_id.bit_length() + 7) // 8, "big")
    return head + (len(content) | 1 << 7 * WIDE).to_bytes(WIDE, "big") + content
