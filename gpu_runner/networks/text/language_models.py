"""Text encoding by a language model: hidden states of a chat message serve as conditioning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from gpu_runner.networks.conditioning import Conditioning
from gpu_runner.protocol.families.family import TextPart
from gpu_runner.protocol.prompt.qwen_tokenizer import chat_tokens


def encode_messages(encoder: Any, part: TextPart, prompts: Sequence[str]) -> list[Conditioning]:
    """Encode prompts one by one, so that none is padded. A prompt beyond the window is cut at its end, as in diffusers.

    ``encoder`` returns the states that the family uses as its last ones. Contexts are (tokens, width).
    """
    contexts = []
    for prompt in prompts:
        ids = torch.tensor([chat_tokens(prompt)[: part.tokens]], device=encoder.device)
        contexts.append(encoder(input_ids=ids, use_cache=False).last_hidden_state[0].clone())
    return [Conditioning(context) for context in contexts]
