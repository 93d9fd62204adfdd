"""Attention without diffusers' look, at every call, at the signature of what it is about to call.

That takes 17 us for each of a UNet's attentions, of which SD1.5 has 32 and SDXL 140: up to 2.4 ms of a step.
"""

from __future__ import annotations

from typing import Any

from diffusers.models.attention_processor import Attention
from torch import Tensor, nn


class PlainAttention(Attention):
    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **rest: Any,
    ) -> Tensor:
        """An argument that its processor does not know is an error here, not a warning."""
        attended: Tensor = self.processor(
            self,
            hidden_states,
            encoder_hidden_states=encoder_hidden_states,
            attention_mask=attention_mask,
            **rest,
        )
        return attended


def simplify(model: nn.Module) -> None:
    for module in model.modules():
        if type(module) is Attention:
            module.__class__ = PlainAttention
