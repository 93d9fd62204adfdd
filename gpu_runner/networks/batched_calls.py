"""Batched execution: one model call for several operations of the same type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from gpu_runner.networks.diffusion.guidance import GuidedAndUnguided
from gpu_runner.networks.loaded import LoadedFaceRestorer, LoadedUpscaler

from .compilation.regional import compiled_calls
from .conditioning import Conditioning
from .diffusion import controlnet, unet, vae
from .flow import transformer
from .loaded import LoadedCheckpoint, LoadedControlNet
from .operations import (
    DecodeLatent,
    Denoise,
    EncodeHint,
    EncodeImage,
    EncodeText,
    Operation,
    RestoreFace,
    UpscaleTile,
)
from .text import text_encoder


def execute(operations: Sequence[Operation]) -> list[Any]:
    """Execute the operations in one batch and return their results in order.

    The operations must have the same type and model part, and equal shapes (see engine.batching.batch_key).
    """
    return CALLS[type(operations[0])](operations[0].model, operations)


def encode_texts(
    checkpoint: LoadedCheckpoint, operations: Sequence[EncodeText]
) -> list[tuple[Conditioning, ...]]:
    prompts = list(dict.fromkeys(chain.from_iterable(operation.prompts for operation in operations)))
    encoded = dict(zip(prompts, text_encoder.encode(checkpoint, prompts, operations[0].options), strict=True))
    return [tuple(encoded[prompt] for prompt in operation.prompts) for operation in operations]


def encode_images(checkpoint: LoadedCheckpoint, operations: Sequence[EncodeImage]) -> list[Tensor]:
    images = {id(operation.pixels): operation.pixels for operation in operations}
    latents = dict(zip(images, vae.encode(checkpoint, list(images.values())), strict=True))
    return [latents[id(operation.pixels)] for operation in operations]


def denoise(checkpoint: LoadedCheckpoint, operations: Sequence[Denoise]) -> list[Tensor | GuidedAndUnguided]:
    network = unet if checkpoint.facts.flow is None else transformer
    inputs = [operation.input for operation in operations]
    # References act through hooks inside the blocks, which compiled code does not call.
    with compiled_calls(all(one.reference is None for one in inputs)):
        return list(network.denoise(checkpoint, inputs))


def decode_latents(checkpoint: LoadedCheckpoint, operations: Sequence[DecodeLatent]) -> list[Tensor]:
    return vae.decode(checkpoint, [operation.latent for operation in operations])


@torch.inference_mode()
def upscale_tiles(upscaler: LoadedUpscaler, operations: Sequence[UpscaleTile]) -> list[Tensor]:
    return upscaler([operation.pixels for operation in operations])


@torch.inference_mode()
def restore_faces(restorer: LoadedFaceRestorer, operations: Sequence[RestoreFace]) -> list[Tensor]:
    return restorer([operation.pixels for operation in operations])


def encode_hints(model: LoadedControlNet, operations: Sequence[EncodeHint]) -> list[Tensor]:
    images = {id(operation.pixels): operation.pixels for operation in operations}
    encoded = dict(zip(images, controlnet.encode_hints(model, list(images.values())), strict=True))
    return [encoded[id(operation.pixels)] for operation in operations]


CALLS: dict[type[Operation], Callable[[Any, Sequence[Any]], list[Any]]] = {
    EncodeText: encode_texts,
    EncodeImage: encode_images,
    Denoise: denoise,
    DecodeLatent: decode_latents,
    UpscaleTile: upscale_tiles,
    RestoreFace: restore_faces,
    EncodeHint: encode_hints,
}


def cost(operation: Operation) -> float:
    """Relative cost of an operation, used to split the time of a batched call between its operations."""
    return operation.input.cost if isinstance(operation, Denoise) else 1
