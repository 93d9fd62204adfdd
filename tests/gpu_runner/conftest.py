"""Fixtures: the tiny checkpoint, written once per session, and a fixed random seed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gpu_runner.protocol import ModelFile
from tests.support.tiny_models import TinyModules, random_modules, single_file_tensors, write_checkpoint


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Tolerances were chosen for these random numbers; others could exceed them in rare cases."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny_modules() -> TinyModules:
    return random_modules(seed=1)


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_modules, tmp_path_factory) -> tuple[Path, ModelFile]:
    """The models root and the checkpoint file below it."""
    root = tmp_path_factory.mktemp("models")
    return root, write_checkpoint(root, "checkpoints/tiny.safetensors", single_file_tensors(tiny_modules))
