"""Downloads a model file to a hidden file below MODELS_ROOT, and tells its format by its first bytes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from gpu_runner.protocol.model_detection.pickled_tensors import PICKLED_SUFFIXES
from gpu_runner.protocol.model_detection.storage.gguf_header import GGUF_SUFFIX
from jobs.models.model_intake import ModelIntake
from jobs.outbound.connections import Resolve, resolve
from jobs.outbound.http import streamed
from jobs.outbound.policy import Policy
from models_registry.models import FOLDERS, Kind
from models_registry.scanning.install_file import MIN_FREE_BYTES, InstallError, disk_full

PART_PREFIX = ".intake-"
SAFETENSORS, PICKLE, GGUF = "safetensors", "pickle", "gguf"
MAX_HEADER = 100 * 1024 * 1024  # of a safetensors file
HEAD_BYTES = 64
DISK_IS_CHECKED_EVERY = 64 * 1024 * 1024
Progress = Callable[[int, int | None], None]  # received bytes, and the announced size


@dataclass(frozen=True)
class Part:
    """A downloaded file, hidden from scans. Its suffix is that of its format."""

    file: Path
    suffix: str


def download(intake: ModelIntake, progress: Progress, resolve: Resolve = resolve) -> Part:
    """Download the file of an intake. Raises Refused or InstallError; the hidden file is then deleted."""
    folder = settings.MODELS_ROOT / FOLDERS[intake.kind or Kind.CHECKPOINT]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{PART_PREFIX}{intake.pk.hex}-{intake.attempts}"
    try:
        found = _receive(intake, path, progress, resolve)
        suffix = _suffix(intake, found)
        return Part(path.rename(path.with_name(path.name + suffix)), suffix)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _receive(intake: ModelIntake, path: Path, progress: Progress, resolve: Resolve) -> str:
    """Write the response's body to the file. Returns the format that its first bytes tell."""
    limits = Policy.of(intake.source)
    limits = replace(
        limits, max_bytes=settings.MODEL_UPLOAD_MAX_BYTES, total_s=settings.MODEL_FETCH_TIMEOUT_S
    )
    received, checked, head, found = 0, 0, b"", ""
    with streamed(intake.url, limits, resolve) as response, path.open("wb") as file:
        path.chmod(0o600)
        if response.content_type == "text/html":
            raise _web_page()
        _check_space(path, response.length or 0)
        for chunk in response.chunks:
            if not found:
                head += chunk[:HEAD_BYTES]
                found = _format(head) if len(head) >= HEAD_BYTES else ""
            file.write(chunk)
            received += len(chunk)
            if received - checked >= DISK_IS_CHECKED_EVERY:
                checked = received
                _check_space(path, 0)
            progress(received, response.length)
    return found or _format(head)


def _check_space(path: Path, size: int) -> None:
    if shutil.disk_usage(path.parent).free < size + MIN_FREE_BYTES:
        raise disk_full()


def _format(head: bytes) -> str:
    """``safetensors``, ``gguf`` or ``pickle``. Raises InstallError for anything else."""
    if head.startswith(b"GGUF"):
        return GGUF
    if head[:4] == b"PK\x03\x04" or head[:1] == b"\x80":  # a zip file, or a pickle of torch before 1.6
        return PICKLE
    if 0 < int.from_bytes(head[:8], "little") <= MAX_HEADER and head[8:9] == b"{":
        return SAFETENSORS
    if head.lstrip()[:1] == b"<":
        raise _web_page()
    if head.startswith(b"version https://git-lfs"):
        raise InstallError(
            _("The URL gives a pointer of Git LFS, not the file itself. At Hugging Face, use /resolve/.")
        )
    raise InstallError(_("The URL gives no model file: neither safetensors nor a file that torch wrote."))


def _web_page() -> InstallError:
    return InstallError(_("The URL gives a web page, not a model file. Use the link of its download."))


def _suffix(intake: ModelIntake, found: str) -> str:
    """The suffix of the file. Raises InstallError if request or URL promised another format."""
    named = PurePosixPath(httpx.URL(intake.url).path).suffix.lower()
    promised = intake.file_format
    if not promised and named in (".safetensors", GGUF_SUFFIX):
        promised = named.removeprefix(".")
    elif not promised and named in PICKLED_SUFFIXES:
        promised = PICKLE
    if promised and promised != found:
        formats = {"promised": promised, "found": found}
        raise InstallError(
            _("The file is %(found)s, not %(promised)s as the request or its URL says.") % formats
        )
    if found in (SAFETENSORS, GGUF):
        return f".{found}"
    return named if named in PICKLED_SUFFIXES else ".pt"
