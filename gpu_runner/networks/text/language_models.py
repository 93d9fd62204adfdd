"""Text encoding by a language model: hidden states of a chat message serve as conditioning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gpu_runner.networks.conditioning import Conditioning, PromptImage
from gpu_runner.protocol.families.family import TextPart
from gpu_runner.protocol.prompt.qwen_tokenizer import (
    DESCRIBE_TOKENS,
    PADDING,
    chat_tokens,
    described_tokens,
)

from .vision import states_with_images


def encode_messages(
    encoder: Any, part: TextPart, prompts: Sequence[str], images: Sequence[PromptImage] = ()
) -> list[Conditioning]:
    """Encode prompts one by one. A prompt beyond the window is cut at its end, as in diffusers.

    ``encoder`` returns the states that Z-Image uses as its last ones; a part with ``layers`` has those of these layers,
    side by side. A padded part has its whole window, whose padding sees the words, as FLUX.2 was trained. Contexts are
    (tokens, width).
    """
    if part.edits:
        return [Conditioning(states) for states in states_with_images(encoder, part, prompts, images)]
    return [Conditioning(_states(encoder, part, prompt)) for prompt in prompts]


def _states(encoder: Any, part: TextPart, prompt: str) -> Tensor:
    if part.kind == "qwen2_5_vl_7b":
        tokens = described_tokens(prompt)[: part.tokens + DESCRIBE_TOKENS]
        ids = torch.tensor([tokens], device=encoder.device)
        return encoder(input_ids=ids, use_cache=False).last_hidden_state[0, DESCRIBE_TOKENS:].clone()
    tokens = chat_tokens(prompt, answers_at_once=bool(part.layers))[: part.tokens]
    padding = part.tokens - len(tokens) if part.padded else 0
    ids = torch.tensor([tokens + [PADDING] * padding], device=encoder.device)
    mask = (torch.arange(ids.shape[1], device=encoder.device) < len(tokens))[None] if padding else None
    output = encoder(
        input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=bool(part.layers)
    )
    if not part.layers:
        return output.last_hidden_state[0].clone()
    return torch.cat([output.hidden_states[layer][0] for layer in part.layers], dim=-1)
