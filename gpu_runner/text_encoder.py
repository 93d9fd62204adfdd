"""Prompts to the states that the UNet attends to."""

from __future__ import annotations

from collections.abc import Sequence
from math import lcm

import torch
from torch import Tensor
from transformers import CLIPTextModel

from gpu_runner.checkpoint_loading import LoadedCheckpoint
from gpu_runner.prompt_chunks import chunks_of

CHUNKS_AT_ONCE = 64  # a prompt of the longest length allowed has hundreds
CHUNKS_WORTH_KEEPING = 8
MOST_REPETITIONS = 4
SMALL_MEAN = 1e-2  # of the spread; the released text encoders have a tenth


@torch.no_grad()
def encode(checkpoint: LoadedCheckpoint, prompts: Sequence[str], clip_skip: int = 1) -> list[Tensor]:
    """One (77 * chunks, width) tensor a prompt, the same whatever it shares the call with. Do not write to them."""
    known = {
        prompt: states
        for prompt in prompts
        if (states := checkpoint.encodings.get((clip_skip, prompt))) is not None
    }
    new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in known]
    for prompt, states in zip(new, _encode_all(checkpoint, new, clip_skip), strict=True):
        known[prompt] = states
        if len(states) <= CHUNKS_WORTH_KEEPING * 77:
            checkpoint.encodings.put((clip_skip, prompt), states)
    return [known[prompt] for prompt in prompts]


def pad_to_same_length(conds: Sequence[Tensor]) -> list[Tensor]:
    """Repeat each prompt's states until all are equally long.

    Attention over a whole sequence repeated gives what it gives over the sequence once, so a short negative prompt means
    the same beside a long prompt as alone. Where that would take too many repetitions, the last state is repeated
    instead, as A1111 does in its batches.
    """
    longest = max(len(cond) for cond in conds)
    common = lcm(*(len(cond) for cond in conds))
    if common <= longest * MOST_REPETITIONS:
        return [cond.repeat(common // len(cond), 1) for cond in conds]
    return [torch.cat([cond, cond[-1:].expand(longest - len(cond), -1)]) for cond in conds]


def _encode_all(checkpoint: LoadedCheckpoint, prompts: Sequence[str], clip_skip: int) -> list[Tensor]:
    if not prompts:
        return []
    encoder = checkpoint.text_encoder
    by_prompt = [chunks_of(prompt, checkpoint.tokenizer, encoder.config.pad_token_id) for prompt in prompts]
    chunks = [chunk for of_prompt in by_prompt for chunk in of_prompt]
    tokens = torch.tensor([chunk.tokens for chunk in chunks], device=encoder.device)
    weights = torch.tensor([chunk.weights for chunk in chunks], device=encoder.device)
    pieces = zip(tokens.split(CHUNKS_AT_ONCE), weights.split(CHUNKS_AT_ONCE), strict=True)
    states = torch.cat(
        [weighted(_hidden_states(encoder, some, clip_skip), weight) for some, weight in pieces]
    )
    # Clones: a view kept by the cache would keep everything encoded beside it.
    return [part.flatten(0, 1).clone() for part in states.split([len(of_prompt) for of_prompt in by_prompt])]


def _hidden_states(encoder: CLIPTextModel, tokens: Tensor, clip_skip: int) -> Tensor:
    """The states after the layer ``clip_skip`` from the end, normalised as if it were the last one.

    A model with fewer layers stops at its first.
    """
    outputs = encoder(input_ids=tokens, output_hidden_states=True)
    layers = len(outputs.hidden_states) - 1  # before them all: the embeddings
    if clip_skip == 1:
        return outputs.last_hidden_state
    chosen = outputs.hidden_states[-min(clip_skip, layers)]
    return getattr(encoder, "text_model", encoder).final_layer_norm(chosen)


def weighted(states: Tensor, weights: Tensor) -> Tensor:
    """A1111's emphasis "Original": multiply each token, then bring the mean of the chunk back to what it was.

    Where the mean was next to nothing there is nothing to bring back, and the quotient would be noise.
    """
    changed = states.float() * weights[..., None]
    before, after = (value.float().mean(dim=(1, 2), keepdim=True) for value in (states, changed))
    spread = states.float().std(dim=(1, 2), keepdim=True)
    meaningful = (before.abs() > SMALL_MEAN * spread) & (after.abs() > SMALL_MEAN * spread)
    scale = torch.where(meaningful, before / after, 1.0)
    untouched = (weights == 1.0).all(dim=1)[:, None, None]
    return torch.where(untouched, states, (changed * scale).to(states.dtype))
