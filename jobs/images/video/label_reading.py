"""Labels in the metadata of a video of anybody: MP4 and WebM. Nothing is decoded."""

from __future__ import annotations

import struct

from gpu_runner.protocol.video.media_types import MP4
from jobs.images.labels import aigc, reading
from jobs.images.labels.reading import FileLabels

from . import mp4, webm
from .facts import BadVideo


def read(data: bytes, media_type: str) -> FileLabels:
    """Labels of an MP4 or WebM file. Raises BadVideo."""
    try:
        if media_type == MP4:
            mp4.facts(data)
            return reading.of_places(mp4.xmp_of(data), {"mp4_metadata": mp4.aigc_of(data)})
        webm.facts(data)
        tags = webm.tags_of(data)
    except (struct.error, IndexError) as error:
        raise BadVideo("the file is damaged") from error
    return reading.of_places(tags.get("XMP", "").encode(), {"webm_tag": tags.get(aigc.KEY, "")})
