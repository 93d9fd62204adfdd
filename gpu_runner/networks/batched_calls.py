"""Answers many asks of one kind with one call of the checkpoint's modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from gpu_runner.networks.diffusion.guidance import GuidedAndUnguided
from gpu_runner.networks.loaded import LoadedFaceRestorer, LoadedUpscaler

from .conditioning import Conditioning
from .diffusion import controlnet, unet, vae
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


def answer(asks: Sequence[Operation]) -> list[Any]:
    """In the order of the asks. They must be of one kind and model, and alike enough to share a call."""
    return CALLS[type(asks[0])](asks[0].model, asks)


def texts(checkpoint: LoadedCheckpoint, asks: Sequence[EncodeText]) -> list[tuple[Conditioning, ...]]:
    prompts = list(dict.fromkeys(chain.from_iterable(ask.prompts for ask in asks)))
    encoded = dict(zip(prompts, text_encoder.encode(checkpoint, prompts, asks[0].wording), strict=True))
    return [tuple(encoded[prompt] for prompt in ask.prompts) for ask in asks]


def encodings(checkpoint: LoadedCheckpoint, asks: Sequence[EncodeImage]) -> list[Tensor]:
    pictures = {id(ask.pixels): ask.pixels for ask in asks}
    latents = dict(zip(pictures, vae.encode(checkpoint, list(pictures.values())), strict=True))
    return [latents[id(ask.pixels)] for ask in asks]


def estimates(checkpoint: LoadedCheckpoint, asks: Sequence[Denoise]) -> list[Tensor | GuidedAndUnguided]:
    return unet.denoise(checkpoint, [ask.question for ask in asks])


def decodings(checkpoint: LoadedCheckpoint, asks: Sequence[DecodeLatent]) -> list[Tensor]:
    return vae.decode(checkpoint, [ask.latent for ask in asks])


@torch.inference_mode()
def enlargements(upscaler: LoadedUpscaler, asks: Sequence[UpscaleTile]) -> list[Tensor]:
    return upscaler([ask.pixels for ask in asks])


@torch.inference_mode()
def restorations(restorer: LoadedFaceRestorer, asks: Sequence[RestoreFace]) -> list[Tensor]:
    return restorer([ask.pixels for ask in asks])


def hints(model: LoadedControlNet, asks: Sequence[EncodeHint]) -> list[Tensor]:
    pictures = {id(ask.pixels): ask.pixels for ask in asks}
    read = dict(zip(pictures, controlnet.read_hints(model, list(pictures.values())), strict=True))
    return [read[id(ask.pixels)] for ask in asks]


CALLS: dict[type[Operation], Callable[[Any, Sequence[Any]], list[Any]]] = {
    EncodeText: texts,
    EncodeImage: encodings,
    Denoise: estimates,
    DecodeLatent: decodings,
    UpscaleTile: enlargements,
    RestoreFace: restorations,
    EncodeHint: hints,
}


def share(ask: Operation) -> float:
    """How much of a call's time is this ask's, in proportion to its neighbours'."""
    return ask.question.work if isinstance(ask, Denoise) else 1
