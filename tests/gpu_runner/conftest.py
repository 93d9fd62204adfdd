"""The tiny checkpoint, written once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_runner.protocol import ModelFile
from tests.gpu_runner.tiny import TinyModules, random_modules, single_file_tensors, write_checkpoint


@pytest.fixture(scope="session")
def tiny_modules() -> TinyModules:
    return random_modules(seed=1)


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_modules, tmp_path_factory) -> tuple[Path, ModelFile]:
    """The models root, and the file below it as an order names it."""
    root = tmp_path_factory.mktemp("models")
    return root, write_checkpoint(root, "checkpoints/tiny.safetensors", single_file_tensors(tiny_modules))
