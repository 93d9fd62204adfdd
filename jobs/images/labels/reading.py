"""Labels in the metadata of any file: the AIGC object, the IPTC digital source type, and our number."""

from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base

from . import aigc, xmp

MAX_XMP_BYTES = 1 << 20
ENCODINGS = {b"UNICODE\0": "utf-16-be", b"ASCII\0\0\0": "ascii", b"\0\0\0\0\0\0\0\0": "utf-8"}
DECLARES_ENTITIES = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


@dataclass
class FileLabels:
    """``places``: where the AIGC object was found, in the order in which it counts."""

    aigc: dict[str, str] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)
    digital_source_type: str = ""
    document_id: str = ""

    @property
    def numbers(self) -> list[str]:
        """Numbers of the image that the labels give."""
        return [number for number in (self.document_id, self.aigc.get("ProduceID", "")) if number]


def read(image: Image.Image) -> FileLabels:
    """Labels of an opened file. Parts that are damaged count as missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
        packet = packet.encode(errors="replace") if isinstance(packet, str) else packet
        texts = {
            "png_chunk": _text(image.info.get(aigc.KEY)),
            "exif_user_comment": _user_comment(image),
        }
    return of_places(packet, texts)


def of_places(packet: object, texts: Mapping[str, str]) -> FileLabels:
    """Labels in an XMP packet, and in texts that may be an AIGC object, by the names of their places."""
    properties = _xmp_properties(packet)
    found = {"xmp": aigc.parsed(properties.get(f"{{{xmp.TC260}}}AIGC", ""))}
    found |= {place: aigc.parsed(text) for place, text in texts.items()}
    places = [place for place, values in found.items() if values]
    return FileLabels(
        aigc=found[places[0]] if places else {},
        places=places,
        digital_source_type=properties.get(f"{{{xmp.IPTC}}}DigitalSourceType", ""),
        document_id=properties.get(f"{{{xmp.MEDIA}}}DocumentID", ""),
    )


def _xmp_properties(packet: object) -> dict[str, str]:
    """Simple properties of the XMP packet, by qualified name: as elements or as attributes."""
    # Entities could expand without limit; XMP has none.
    if not isinstance(packet, bytes) or len(packet) > MAX_XMP_BYTES or DECLARES_ENTITIES.search(packet):
        return {}
    try:
        root = ET.fromstring(packet.strip(b"\0 \r\n\t"))
    except (ET.ParseError, ValueError, LookupError):
        return {}
    properties: dict[str, str] = {}
    for description in root.iter(f"{{{xmp.RDF}}}Description"):
        properties |= description.attrib
        properties |= {child.tag: _value(child) for child in description}
    return properties


def _value(element: ET.Element) -> str:
    return (element.get(f"{{{xmp.RDF}}}resource") or element.text or "").strip()


def _user_comment(image: Image.Image) -> str:
    try:
        comment: Any = image.getexif().get_ifd(IFD.Exif).get(Base.UserComment)
    except Exception:  # Pillow raises many types on damaged EXIF data, which is the same as none
        return ""
    if isinstance(comment, bytes):
        encoding = ENCODINGS.get(comment[:8])
        comment = (
            comment[8:].decode(encoding, errors="replace") if encoding else comment.decode(errors="replace")
        )
    return _text(comment)


def _text(value: object) -> str:
    return str(value).strip("\0 \r\n") if isinstance(value, str) else ""
