"""Reads the files of a data set from a ZIP archive, with bounds on their number, size and compression ratio."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath

from django.utils.translation import gettext as _

from jobs.images.input_files import MAX_INPUT_BYTES

from .dataset import BadDataset, DatasetFile, FileProblem

MAX_ENTRIES = 1000
MAX_TOTAL_BYTES = 256 * 1024 * 1024
MAX_RATIO = 100
RATIO_FROM_BYTES = 1024 * 1024  # small files may be very regular
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz")
ENCRYPTED = 0x1
FIELD = "archive"


def files_of(data: bytes) -> list[DatasetFile]:
    """Images and captions of an archive. Raises BadDataset with everything that is wrong with it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if not _is_ignored(entry)]
            if problems := list(_problems(entries)):
                raise BadDataset(problems, FIELD)
            return [DatasetFile(entry.filename, _read(archive, entry)) for entry in entries]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BadDataset([FileProblem("", _("The file is not a readable ZIP archive."))], FIELD) from error


def _is_ignored(entry: zipfile.ZipInfo) -> bool:
    """Folders, and files that operating systems add."""
    path = PurePosixPath(entry.filename)
    return entry.is_dir() or path.parts[:1] == ("__MACOSX",) or path.name.startswith(".")


def _problems(entries: list[zipfile.ZipInfo]) -> Iterator[FileProblem]:
    if len(entries) > MAX_ENTRIES:
        words = {"limit": MAX_ENTRIES, "count": len(entries)}
        yield FileProblem("", _("The archive must have at most %(limit)d files (got %(count)d).") % words)
        return
    for entry in entries:
        if message := _problem(entry):
            yield FileProblem(entry.filename[:200], message)
    total = sum(entry.file_size for entry in entries)
    if total > MAX_TOTAL_BYTES:
        words = {"limit": MAX_TOTAL_BYTES >> 20, "count": total >> 20}
        yield FileProblem(
            "", _("The files of the archive must have at most %(limit)d MB (got %(count)d MB).") % words
        )


def _problem(entry: zipfile.ZipInfo) -> str:
    name = entry.filename
    if name.startswith("/") or "\\" in name or "\0" in name or ":" in name or ".." in name.split("/"):
        return _("The name leads out of the archive.")
    if not name.isprintable():
        return _("The name has characters that cannot be printed.")
    if entry.flag_bits & ENCRYPTED:
        return _("The file is encrypted.")
    if name.lower().endswith(ARCHIVES):
        return _("Archives in archives are not read.")
    if entry.compress_type not in METHODS:
        return _("The compression method is not supported.")
    if entry.file_size > MAX_INPUT_BYTES:
        return _("A file must have at most %(limit)d MB.") % {"limit": MAX_INPUT_BYTES >> 20}
    if entry.file_size > RATIO_FROM_BYTES and entry.file_size > MAX_RATIO * max(1, entry.compress_size):
        return _("The file is compressed more than %(limit)d times.") % {"limit": MAX_RATIO}
    return ""


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """The content, which may not be longer than the archive states."""
    with archive.open(entry) as file:
        data = file.read(entry.file_size + 1)
    if len(data) > entry.file_size:
        message = _("The file is larger than the archive states.")
        raise BadDataset([FileProblem(entry.filename[:200], message)], FIELD)
    return data
