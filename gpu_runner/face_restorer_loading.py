"""Networks that draw a face anew from a poor picture of it. Of those that spandrel knows, GFPGAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gpu_runner.model_files import ModelUnavailable, TensorFile
from gpu_runner.spandrel_loading import described, size_of
from gpu_runner.vae import NotANumber

if TYPE_CHECKING:
    from collections.abc import Sequence

ARCHITECTURE = "GFPGAN"


@dataclass(eq=False)
class LoadedFaceRestorer:
    key: str  # the file's SHA-256
    model: nn.Module
    size_bytes: int

    def __call__(self, faces: Sequence[Tensor]) -> list[Tensor]:
        """Aligned squares, from -1 to 1. The noise is what the file keeps of its training: the same face is the same again."""
        weight = next(self.model.parameters())
        batch = torch.stack(list(faces)).to(weight.device, weight.dtype)
        restored = self.model(batch, return_rgb=False, randomize_noise=False)[0].float()
        if not torch.isfinite(restored).all():
            raise NotANumber("the face restorer produced a face that is not made of numbers")
        return list(restored.unbind())


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
