"""Text conditioning of the UNet, and the options that text encoding depends on besides the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import lcm

import torch
from torch import Tensor

MOST_REPETITIONS = 4


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Text encoder output for one prompt."""

    context: Tensor  # (tokens, width)
    pooled: Tensor | None = None  # (width,): pooled text embedding, an additional input of SDXL


@dataclass(frozen=True)
class Embedding:
    """Textual inversion: learned vectors that replace the embedding's name in a prompt."""

    name: str
    key: str  # the file's SHA-256
    vectors: tuple[Tensor, ...] = field(compare=False, repr=False)  # (n, width), one per text encoder


@dataclass(frozen=True)
class PromptImage:
    """Image that a text encoder reads before a prompt."""

    key: str  # hash of the pixels
    pixels: Tensor = field(compare=False, repr=False)  # (3, height, width), from -1 to 1


@dataclass(frozen=True)
class TextEncodingOptions:
    """Options of text encoding. Prompts with equal options can be encoded in one batch."""

    clip_skip: int = 1
    emphasis: str = "Original"
    comma_backtrack: int = 20
    embeddings: tuple[Embedding, ...] = ()
    images: tuple[PromptImage, ...] = ()


def extended(texts: Sequence[Conditioning]) -> list[Conditioning]:
    """Extend the contexts of conditionings to the longest one by repeating the last token's state.

    A1111 does so with the parts of a prompt that are joined by AND.
    """
    length = max(len(text.context) for text in texts)
    return [
        text
        if len(text.context) == length
        else replace(text, context=_with_last_state_repeated(text.context, length))
        for text in texts
    ]


def pad_to_same_length(contexts: Sequence[Tensor]) -> list[Tensor]:
    """Pad contexts of shape (tokens, width) to the same number of tokens by repetition.

    Cross-attention over a sequence repeated as a whole equals attention over the sequence itself, so the
    padding does not change the result. If the least common multiple of the lengths is more than
    MOST_REPETITIONS times the longest length, the last token's state is repeated instead, as A1111 does.
    """
    length = common_length([len(context) for context in contexts])
    return [_padded(context, length) for context in contexts]


def common_length(lengths: Sequence[int]) -> int:
    """Length that contexts are padded to: the least common multiple if not too long, else the maximum."""
    longest, common = max(lengths), lcm(*lengths)
    return common if common <= longest * MOST_REPETITIONS else longest


def _padded(context: Tensor, length: int) -> Tensor:
    if length % len(context):
        return _with_last_state_repeated(context, length)
    return repeated(context, length // len(context))


def _with_last_state_repeated(context: Tensor, length: int) -> Tensor:
    return torch.cat([context, context[-1:].expand(length - len(context), -1)])


def repeated(context: Tensor, times: int) -> Tensor:
    return context if times == 1 else context.repeat(times, 1)
