"""``manage.py install_pose_models``: registers the networks of MediaPipe Holistic, for the preprocessors openpose."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from models_registry.models import Kind, ModelFile

PACKAGE = "@mediapipe/holistic"
URL = "https://registry.npmjs.org/@mediapipe/holistic/-/holistic-0.5.1675471629.tgz"
# As in the registry's "integrity", in base64.
SHA512 = "qY+cxtDeSOvVtevrLgnodiwXYaAtPi7dHZtNv/bUCGEjFicAOYtMmrZSqMmbPkTB2+4jLnPF1vgshkAqQRSYAw=="
SIZE_BYTES = 52_558_610
TIMEOUT_S = 600
FILE_NAME, NAME = "mediapipe_holistic.safetensors", "mediapipe_holistic"
PACKED = "package/holistic_solution_packed_assets.data"
# Member of the package, position and size of each network in it.
NETWORKS: dict[str, tuple[str, int, int]] = {
    "face_detection": (PACKED, 0, 229_032),
    "face_landmark": (PACKED, 248_408, 1_241_896),
    "hand_landmark": (PACKED, 3_986_256, 5_478_688),
    "pose_detection": (PACKED, 13_915_467, 2_962_288),
    "pose_landmark": ("package/pose_landmark_full.tflite", 0, 6_440_512),
}
METADATA = {
    "modelspec.title": "MediaPipe Holistic",
    "modelspec.license": "Apache-2.0",
    "modelspec.author": "The MediaPipe Authors",
    "atelier.origin": URL,
}


class Command(BaseCommand):
    help = f"Download the npm package {PACKAGE} (Apache-2.0, 53 MB), and install its networks as a preprocessor file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--package",
            type=Path,
            help=f"the file of {URL}, for a server without access to the npm registry",
        )

    def handle(self, *args: Any, package: Path | None, **options: Any) -> None:
        if known := ModelFile.objects.usable().filter(kind=Kind.PREPROCESSOR, name=NAME).first():
            self.stdout.write(f"{known.path} is there; nothing was changed")
            return
        networks = networks_of(read(package) if package else download())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / FILE_NAME
            path.write_bytes(safetensors(networks))
            call_command("add_model", str(path), "--kind", Kind.PREPROCESSOR, stdout=self.stdout)


def read(package: Path) -> bytes:
    try:
        return package.read_bytes()
    except OSError as error:
        raise CommandError(f"{package} cannot be read: {error}") from error


def download() -> bytes:
    """Download the package. Proxies of the environment apply. Raises CommandError."""
    try:
        with urllib.request.urlopen(URL, timeout=TIMEOUT_S) as response:
            return bytes(response.read(SIZE_BYTES + 1))
    except (OSError, urllib.error.URLError) as error:
        raise CommandError(
            f"{URL} cannot be downloaded: download it elsewhere, and pass it with --package: {error}"
        ) from error


def networks_of(package: bytes) -> dict[str, bytes]:
    """The networks in the package. Raises CommandError if it is not the expected one."""
    if base64.b64encode(hashlib.sha512(package).digest()).decode() != SHA512:
        raise CommandError(f"the package is not that of {URL}")
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as archive:
        content = {member: _content(archive, member) for member, _begin, _size in NETWORKS.values()}
    return {name: content[member][begin : begin + size] for name, (member, begin, size) in NETWORKS.items()}


def _content(archive: tarfile.TarFile, member: str) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def safetensors(networks: dict[str, bytes]) -> bytes:
    """A safetensors file with each network as a tensor of bytes."""
    header: dict[str, Any] = {"__metadata__": METADATA}
    end = 0
    for name, data in networks.items():
        offsets = [end, end + len(data)]
        header[f"{name}.tflite"] = {"dtype": "U8", "shape": [len(data)], "data_offsets": offsets}
        end += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(networks.values())
