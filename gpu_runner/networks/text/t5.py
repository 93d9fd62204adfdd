"""Text encoding by T5: the states of its encoder are the conditioning of the tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpu_runner.protocol.families.family import TextPart
from gpu_runner.protocol.prompt.t5_tokenizer import PADDING, weighted_t5_tokens

from . import emphasis


def encode_t5(encoder: Any, part: TextPart, prompt: str, emphasis_mode: str) -> Tensor:
    """Return the states of one prompt: (tokens, width).

    A padded part has its whole window, and its padding is read like words, as in the pipelines of FLUX.1 and Stable
    Diffusion 3. Otherwise there is one token of padding, which the others do not see: that of Chroma, whose transformer
    was trained with the padding masked from the second token on.
    """
    tokens, weights = weighted_t5_tokens(prompt, part.tokens, emphasis_mode)
    length = len(tokens)
    padding = part.tokens - length if part.padded else min(1, part.tokens - length)
    ids = torch.tensor([tokens + [PADDING] * padding], device=encoder.device)
    mask = None if part.padded else (torch.arange(length + padding, device=encoder.device) < length)[None]
    states = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    weighted = torch.tensor([weights + [1.0] * padding], device=states.device)
    return emphasis.MODES[emphasis_mode](states, weighted)[0].clone()
