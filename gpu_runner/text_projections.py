"""Keys and values of the texts that a UNet attends to: the same at every step, and computed at the first.

As long as the same rows ask for the same texts, the UNet is given the very tensor that it was given before, and its
cross-attentions remember what they made of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import lcm

import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn

from gpu_runner.networks.conditioning import Conditioning
from gpu_runner.networks.diffusion.guidance import Guidance
from gpu_runner.networks.lru_cache import LruCache

CREWS_KEPT = 8  # of different models, by turns; a crew that changes is another
MOST_BYTES = 2**20  # of an answer that is remembered: SDXL has 140, so 140 MiB at most, of 5 rows

Crew = tuple[tuple[Conditioning, ...], ...]


class TextProjection(nn.Linear):
    """A linear layer that remembers its last answer, if that is small: large calls are no faster for it.

    Its weights are exchanged where others are wanted, never written.
    """

    _last: tuple[Tensor, Tensor, Tensor] | None = None

    @classmethod
    def of(cls, linear: nn.Linear) -> TextProjection:
        made = cls(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        made._parameters = linear._parameters
        return made.train(linear.training)

    def forward(self, text: Tensor) -> Tensor:
        weight, last = self.weight, self._last
        if last is not None and last[0] is text and last[1] is weight:
            return last[2]
        answer = super().forward(text)
        self._last = (text, weight, answer) if answer.nbytes <= MOST_BYTES else None
        return answer


def remember_texts(unet: nn.Module) -> None:
    for block in unet.modules():
        if isinstance(block, BasicTransformerBlock) and block.attn2 is not None:
            block.attn2.to_k = TextProjection.of(block.attn2.to_k)
            block.attn2.to_v = TextProjection.of(block.attn2.to_v)


class CrewTexts:
    """What the rows of a call are told, as one tensor: the same one as long as the crew and its texts are the same."""

    def __init__(self) -> None:
        self._known: LruCache[tuple[torch.dtype, Crew], Tensor] = LruCache(CREWS_KEPT)

    def of(self, guidances: Sequence[Guidance], dtype: torch.dtype) -> Tensor:
        """(rows, tokens, width); the shorter ones repeated to the length of all."""
        key = dtype, tuple(guidance.conditionings for guidance in guidances)
        texts = self._known.get(key)
        if texts is None:
            length = lcm(*(guidance.length for guidance in guidances))
            rows = [text for guidance in guidances for text in guidance.contexts(length)]
            texts = torch.stack(rows).to(dtype)
            self._known.put(key, texts)
        return texts
