"""Streamed ZIP archives of images. The files are stored uncompressed, since images are compressed already."""

from __future__ import annotations

import io
import mimetypes
import zipfile
from collections.abc import Iterator, Sequence

from jobs.images.storage import read_output
from jobs.models import Output

MAX_FILES = 200
MAX_BYTES = 1 << 30
MISSING = "missing.txt"


class _Sink(io.RawIOBase):
    """Write-only file whose content is taken out piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._pieces.append(piece)
        return len(piece)

    def taken(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def stream(outputs: Sequence[Output]) -> Iterator[bytes]:
    """The bytes of the archive, one file at a time in memory. Files that are gone are listed in ``missing.txt``."""
    sink, missing = _Sink(), []
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for output in outputs:
            try:
                data = read_output(output)
            except FileNotFoundError:  # deleted meanwhile
                missing.append(name_of(output))
                continue
            entry = zipfile.ZipInfo(name_of(output), output.job.created_at.timetuple()[:6])
            archive.writestr(entry, data)
            yield sink.taken()
        if missing:
            archive.writestr(MISSING, "\n".join(missing) + "\n")
    yield sink.taken()


def name_of(output: Output) -> str:
    suffix = mimetypes.guess_extension(output.content_type) or ".png"
    return f"{output.job.created_at:%Y%m%d-%H%M%S}-{str(output.job_id)[:8]}-{output.index}{suffix}"
