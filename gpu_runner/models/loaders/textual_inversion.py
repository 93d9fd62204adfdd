"""Textual inversions: vectors that stand in a text encoder's input where a prompt says their name."""

from __future__ import annotations

import re

from torch import Tensor

from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.errors import ModelUnavailable

TOKEN = re.compile(r"<[^<>]+>")  # diffusers' files name the tensor by the token itself


def read_vectors(file: TensorFile, name: str, widths: list[int]) -> tuple[Tensor, ...]:
    """(n, width) for each text encoder, all with the same n. Raises ModelUnavailable for what is no embedding, or one for text encoders of other widths than these."""
    tensors = _tensors(file)
    if not tensors:
        raise ModelUnavailable(f"{name} is not an embedding")
    vectors = [tensor.detach().float().reshape(-1, tensor.shape[-1]).clone() for tensor in tensors]
    found = [tensor.shape[1] for tensor in vectors]
    if found != widths or len({len(tensor) for tensor in vectors}) != 1:
        raise ModelUnavailable(f"{name} is for text encoders of the widths {found}, and these have {widths}")
    return tuple(vectors)


def _tensors(file: TensorFile) -> list[Tensor]:
    if "clip_l" in file and "clip_g" in file:
        return [file["clip_l"], file["clip_g"]]
    for name in file:
        if name == "emb_params" or name.startswith("string_to_param") or TOKEN.fullmatch(name):
            return [file[name]]
    return []
