"""Reads textual inversion embeddings: vectors that replace token embeddings in the text encoder input."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.safetensors_models import embedding_tensors


def read_vectors(file: TensorFile, name: str, widths: list[int]) -> tuple[Tensor, ...]:
    """Return one float32 tensor of shape (n, width) for each text encoder, all with the same n.

    Raises ModelUnavailable if the file is not an embedding, contains NaN, or if its widths differ from ``widths``.
    """
    return vectors_of(file, name, widths)


def vectors_of(tensors_by_name: Mapping[str, Tensor], name: str, widths: list[int]) -> tuple[Tensor, ...]:
    """As ``read_vectors``, of tensors in memory."""
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors_by_name.items()}
    tensors = [tensors_by_name[key] for key in embedding_tensors(shapes)]
    if not tensors:
        raise ModelUnavailable(f"{name} is not an embedding")
    vectors = [tensor.detach().float().reshape(-1, tensor.shape[-1]).clone() for tensor in tensors]
    found = [tensor.shape[1] for tensor in vectors]
    if found != widths or len({len(tensor) for tensor in vectors}) != 1:
        raise ModelUnavailable(f"{name} must have vectors of the widths {widths} (got {found})")
    if not all(bool(tensor.isfinite().all()) for tensor in vectors):
        raise ModelUnavailable(f"{name} contains values that are not numbers")
    return tuple(vectors)
