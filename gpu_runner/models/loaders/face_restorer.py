"""Loads face restoration networks through spandrel; only GFPGAN is supported."""

from __future__ import annotations

import torch

from gpu_runner.networks.loaded import LoadedFaceRestorer
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.errors import ModelUnavailable

from .spandrel import load_descriptor, size_of

ARCHITECTURE = "GFPGAN"


def load_face_restorer(file: TensorFile, name: str, key: str, device: torch.device) -> LoadedFaceRestorer:
    """Load a GFPGAN model in float32. Raises ModelUnavailable.

    float16 is not precise enough for its modulated convolutions.
    """
    descriptor = load_descriptor(file, name, "a face restorer")
    if descriptor.architecture.id != ARCHITECTURE:
        raise ModelUnavailable(f"{name} must be a {ARCHITECTURE} model (got {descriptor.architecture.id})")
    descriptor.to(device, torch.float32).eval()
    descriptor.model.requires_grad_(False)
    return LoadedFaceRestorer(key, descriptor.model, size_of(descriptor.model))
