"""What the words of a prompt become: the states that a UNet attends to. And what else than the words decides on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import lcm

import torch
from torch import Tensor

MOST_REPETITIONS = 4


@dataclass(frozen=True, eq=False)
class Conditioning:
    context: Tensor  # (tokens, width)
    pooled: Tensor | None = None  # (width,): the whole text in one state, which SDXL is told too


@dataclass(frozen=True)
class Embedding:
    """A textual inversion: learned vectors that stand where a prompt says its name."""

    name: str
    key: str  # the file's SHA-256
    vectors: tuple[Tensor, ...] = field(compare=False, repr=False)  # (n, width) for each text encoder


@dataclass(frozen=True)
class TextEncodingOptions:
    """How prompts are read. Texts of one wording can be encoded together."""

    clip_skip: int = 1
    emphasis: str = "Original"
    comma_backtrack: int = 20
    embeddings: tuple[Embedding, ...] = ()


def pad_to_same_length(contexts: Sequence[Tensor]) -> list[Tensor]:
    """Repeat each prompt's states until all are equally long.

    Attention over a whole sequence repeated gives what it gives over the sequence once, so a short negative prompt means
    the same beside a long prompt as alone. Where that would take too many repetitions, the last state is repeated
    instead, as A1111 does in its batches.
    """
    length = common_length([len(context) for context in contexts])
    return [_padded(context, length) for context in contexts]


def common_length(lengths: Sequence[int]) -> int:
    longest, common = max(lengths), lcm(*lengths)
    return common if common <= longest * MOST_REPETITIONS else longest


def _padded(context: Tensor, length: int) -> Tensor:
    if length % len(context):
        return torch.cat([context, context[-1:].expand(length - len(context), -1)])
    return repeated(context, length // len(context))


def repeated(context: Tensor, times: int) -> Tensor:
    return context if times == 1 else context.repeat(times, 1)
