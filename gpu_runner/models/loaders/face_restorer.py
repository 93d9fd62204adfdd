"""Networks that draw a face anew from a poor picture of it. Of those that spandrel knows, GFPGAN."""

from __future__ import annotations

import torch

from gpu_runner.networks.loaded import LoadedFaceRestorer
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.errors import ModelUnavailable

from .spandrel import described, size_of

ARCHITECTURE = "GFPGAN"


def load_face_restorer(file: TensorFile, name: str, key: str, device: torch.device) -> LoadedFaceRestorer:
    """In full precision: half is too little for its modulated convolutions."""
    descriptor = described(file, name, "a face restorer")
    if descriptor.architecture.id != ARCHITECTURE:
        raise ModelUnavailable(
            f"{name} is no face restorer that is known here: only {ARCHITECTURE}'s files are"
        )
    descriptor.to(device, torch.float32).eval()
    descriptor.model.requires_grad_(False)
    return LoadedFaceRestorer(key, descriptor.model, size_of(descriptor.model))
