"""Model files that arrive in pieces: into a hidden file beside their place, and under their name once they are whole.

Nothing is kept of an upload but that file: how much of it has arrived is its length, what it is to become is in the
signed text that its sender holds.
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
from .install_file import NotPlaced

PART = ".upload-"
AGE_S = 24 * 3600  # until an upload that nobody goes on with is forgotten
CHUNK_BYTES = 8 * 1024 * 1024  # what a sender should send at a time: a broken connection costs no more
READ_BYTES = 1024 * 1024
SALT = "models_registry.scanning.resumable_upload"


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Upload:
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
        """With the true suffix, because that decides how a file is looked at."""
        hidden = f"{PART}{self.part}{Path(self.name).suffix.lower()}"
        return Path(settings.MODELS_ROOT / FOLDERS[self.kind] / hidden)


def begin(kind: str, name: str, size: int, user_id: int) -> Upload:
    """Raises NotPlaced."""
    _forget_old_ones()
    install_file.check(kind, name, size)
    upload = Upload(kind, name, size, secrets.token_hex(8), user_id)
    with _room_is_needed(upload):
        upload.file.touch(mode=0o600, exist_ok=False)
    return upload


def find(token: str, user_id: int) -> Upload:
    """Raises NotPlaced for what is over, or somebody else's."""
    try:
        upload = Upload(*signing.loads(token, salt=SALT, max_age=AGE_S))
    except (signing.BadSignature, TypeError) as error:
        raise _over() from error
    if upload.user_id != user_id or not upload.file.exists():
        raise _over()
    return upload


def append(upload: Upload, offset: int, data: Readable) -> int:
    """The new length. What arrives before a connection breaks is kept, so that the sender can go on."""
    with _room_is_needed(upload), upload.file.open("ab", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        received = file.seek(0, os.SEEK_END)
        if received != offset:
            raise NotPlaced(_("These bytes do not follow the last ones."), received=received)
        while chunk := data.read(READ_BYTES):
            received += len(chunk)
            if received > upload.size:
                cancel(upload)
                raise NotPlaced(_("More arrived than was announced."))
            _write(file, chunk)
    return received


def finish(upload: Upload) -> ModelFile:
    """The new row. Raises NotPlaced; then nothing of the file is left, unless it only was not whole yet."""
    received = upload.file.stat().st_size
    if received != upload.size:
        raise NotPlaced(_("The file is not whole yet."), received=received)
    try:
        return install_file.settle(upload.file, upload.kind, upload.name)
    except FileNotFoundError as error:  # cancelled, or finished, by another request
        raise _over() from error
    finally:
        cancel(upload)


def cancel(upload: Upload) -> None:
    upload.file.unlink(missing_ok=True)


def _write(file: object, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]  # type: ignore[attr-defined]


@contextmanager
def _room_is_needed(upload: Upload) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            cancel(upload)
            raise install_file.disk_full() from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise NotPlaced(_("The folder of the models cannot be written to.")) from error
        raise


def _forget_old_ones() -> None:
    for folder in FOLDERS.values():
        for part in (settings.MODELS_ROOT / folder).glob(f"{PART}*"):
            if part.stat().st_mtime < time.time() - AGE_S:
                part.unlink(missing_ok=True)


def _over() -> NotPlaced:
    return NotPlaced(_("This upload is over. Begin again."))
