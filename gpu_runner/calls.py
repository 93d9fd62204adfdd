"""Answers many asks of one kind with one call of the checkpoint's modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from torch import Tensor

from gpu_runner import denoiser, text_encoder, vae
from gpu_runner.tasks import Ask, DecodeAsk, DenoiseAsk, EncodeAsk, TextAsk

if TYPE_CHECKING:
    from gpu_runner.models import LoadedCheckpoint


def answer(checkpoint: LoadedCheckpoint, asks: Sequence[Ask]) -> list[Any]:
    """In the order of the asks. They must be of one kind, and alike enough to share a call."""
    return CALLS[type(asks[0])](checkpoint, asks)


def texts(checkpoint: LoadedCheckpoint, asks: Sequence[TextAsk]) -> list[tuple[Tensor, Tensor]]:
    prompts = list(dict.fromkeys(chain.from_iterable(ask.prompts for ask in asks)))
    encoded = dict(zip(prompts, text_encoder.encode(checkpoint, prompts, asks[0].clip_skip), strict=True))
    pairs = (text_encoder.pad_to_same_length([encoded[prompt] for prompt in ask.prompts]) for ask in asks)
    return [(positive, negative) for positive, negative in pairs]


def encodings(checkpoint: LoadedCheckpoint, asks: Sequence[EncodeAsk]) -> list[Tensor]:
    pictures = {id(ask.pixels): ask.pixels for ask in asks}
    latents = dict(zip(pictures, vae.encode(checkpoint, list(pictures.values())), strict=True))
    return [latents[id(ask.pixels)] for ask in asks]


def estimates(checkpoint: LoadedCheckpoint, asks: Sequence[DenoiseAsk]) -> list[Tensor]:
    return denoiser.denoise(checkpoint, [ask.question for ask in asks])


def decodings(checkpoint: LoadedCheckpoint, asks: Sequence[DecodeAsk]) -> list[Tensor]:
    return vae.decode(checkpoint, [ask.latent for ask in asks])


CALLS: dict[type[Ask], Callable[[LoadedCheckpoint, Sequence[Any]], list[Any]]] = {
    TextAsk: texts,
    EncodeAsk: encodings,
    DenoiseAsk: estimates,
    DecodeAsk: decodings,
}


def share(ask: Ask) -> int:
    """How much of a call's time is this ask's, in proportion to its neighbours'."""
    return ask.question.rows if isinstance(ask, DenoiseAsk) else 1
