"""The real networks of MediaPipe Holistic, from the package that ``manage.py install_pose_models`` downloads."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from models_registry.management.commands import install_pose_models


@cache
def holistic_package() -> bytes:
    """The package; of HOLISTIC_PACKAGE, or downloaded. Skips the test if the npm registry cannot be reached."""
    if given := os.environ.get("HOLISTIC_PACKAGE"):
        return Path(given).read_bytes()
    try:
        return install_pose_models.download()
    except CommandError as error:
        pytest.skip(f"MediaPipe's networks are not there: {error}")


def write_pose_models(path: Path) -> Path:
    """Write the preprocessor file that the command installs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(install_pose_models.safetensors(install_pose_models.networks_of(holistic_package())))
    return path
