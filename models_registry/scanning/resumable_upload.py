"""Resumable uploads of model files, in chunks, to a hidden file in the folder of their kind.

The hidden file is the only server-side state: its length is the number of received bytes. Kind, name and size are in a
signed token that the client holds.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Protocol

from django.conf import settings
from django.core import signing
from django.utils.translation import gettext as _

from models_registry.models import FOLDERS, ModelFile

from . import install_file
from .install_file import InstallError

PART_PREFIX = ".upload-"
MAX_AGE_S = 24 * 3600  # abandoned uploads are deleted after this time
# Recommended size of a chunk; at most this much is sent again after a lost connection.
CHUNK_BYTES = 8 * 1024 * 1024
READ_BYTES = 1024 * 1024
SALT = "models_registry.scanning.resumable_upload"


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Upload:
    """An upload in progress, as encoded in its token."""

    kind: str
    name: str
    size: int
    part: str
    user_id: int

    @property
    def token(self) -> str:
        return signing.dumps(astuple(self), salt=SALT)

    @property
    def file(self) -> Path:
        """The hidden file. It has the suffix of the final name, which decides how the file is inspected."""
        hidden_name = f"{PART_PREFIX}{self.part}{Path(self.name).suffix.lower()}"
        return Path(settings.MODELS_ROOT / FOLDERS[self.kind] / hidden_name)


def begin(kind: str, name: str, size: int, user_id: int) -> Upload:
    """Start an upload of ``size`` bytes. Raises InstallError if the file would be refused."""
    _delete_abandoned()
    install_file.check(kind, name, size)
    upload = Upload(kind, name, size, secrets.token_hex(8), user_id)
    with _translated_os_errors(upload):
        upload.file.touch(mode=0o600, exist_ok=False)
    return upload


def find(token: str, user_id: int) -> Upload:
    """The upload of a token. Raises InstallError if it has ended or belongs to another user."""
    try:
        upload = Upload(*signing.loads(token, salt=SALT, max_age=MAX_AGE_S))
    except (signing.BadSignature, TypeError) as error:
        raise _ended() from error
    if upload.user_id != user_id or not upload.file.exists():
        raise _ended()
    return upload


def append(upload: Upload, offset: int, data: Readable) -> int:
    """Append data that starts at ``offset``, and return the number of bytes received so far.

    Data that arrives before a connection is lost is kept, so that the upload can be resumed. Raises InstallError if
    ``offset`` is not the end of the received data, or if more than the announced size arrives.
    """
    with _translated_os_errors(upload), upload.file.open("ab", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        received = file.seek(0, os.SEEK_END)
        if received != offset:
            raise InstallError(
                _("The offset must be %(received)d (got %(offset)d).")
                % {"received": received, "offset": offset},
                received=received,
            )
        while chunk := data.read(READ_BYTES):
            received += len(chunk)
            if received > upload.size:
                cancel(upload)
                raise InstallError(
                    _("The upload has more than the announced %(size)d bytes.") % {"size": upload.size}
                )
            _write(file, chunk)
    return received


def finish(upload: Upload) -> ModelFile:
    """Install the complete file and return its row.

    Raises InstallError. The uploaded data is then deleted, except if it is incomplete.
    """
    received = upload.file.stat().st_size
    if received != upload.size:
        sizes = {"received": received, "size": upload.size}
        raise InstallError(
            _("The upload is incomplete: %(received)d of %(size)d bytes.") % sizes, received=received
        )
    try:
        return install_file.install(upload.file, upload.kind, upload.name)
    except FileNotFoundError as error:  # cancelled or finished by another request
        raise _ended() from error
    finally:
        cancel(upload)


def cancel(upload: Upload) -> None:
    """Delete the uploaded data."""
    upload.file.unlink(missing_ok=True)


def _write(file: object, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]  # type: ignore[attr-defined]


@contextmanager
def _translated_os_errors(upload: Upload) -> Iterator[None]:
    """Convert a full disk and missing write permission to InstallError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            cancel(upload)
            raise install_file.disk_full() from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise InstallError(_("The models folder is not writable.")) from error
        raise


def _delete_abandoned() -> None:
    for folder in FOLDERS.values():
        for part in (settings.MODELS_ROOT / folder).glob(f"{PART_PREFIX}*"):
            if part.stat().st_mtime < time.time() - MAX_AGE_S:
                part.unlink(missing_ok=True)


def _ended() -> InstallError:
    return InstallError(_("This upload has ended. Start again."))
