"""Receives the file of a training from its runner, into a hidden file below MODELS_ROOT."""

from __future__ import annotations

import base64
import hashlib
import uuid
from pathlib import Path

from django.conf import settings

from gpu_runner.protocol import TrainedFile
from models_registry.models import FOLDERS, Kind
from models_registry.scanning import install_file

PART_PREFIX = ".training-"


class DamagedFile(Exception):
    """The parts do not make up the file that the runner meant."""


class Reception:
    """Writes the parts of one file in the order of their arrival. ``attempt``: of its job."""

    def __init__(self, job_id: uuid.UUID, attempt: int) -> None:
        folder = install_file.create_folder(FOLDERS[Kind.LORA])
        self.path: Path = folder / f"{PART_PREFIX}{job_id.hex}-{attempt}.safetensors"
        self.path.unlink(missing_ok=True)
        self.is_complete = False
        self._size = 0
        self._hash = hashlib.sha256()

    def add(self, part: TrainedFile) -> None:
        """Append a part. Raises DamagedFile, or OSError if the disk is full."""
        if self.is_complete:
            raise DamagedFile("the runner sent a part after the last one")
        try:
            data = base64.b64decode(part.data, validate=True)
        except ValueError as error:
            raise DamagedFile("a part is not base64") from error
        self._size += len(data)
        if self._size > settings.MODEL_UPLOAD_MAX_BYTES:
            raise DamagedFile("the file is larger than MODEL_UPLOAD_MAX_BYTES")
        self._hash.update(data)
        with self.path.open("ab") as file:
            file.write(data)
        self.path.chmod(0o600)
        if part.last:
            if part.sha256 != self._hash.hexdigest():
                raise DamagedFile("the SHA-256 of the file differs from the one that the runner sent")
            self.is_complete = True

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
