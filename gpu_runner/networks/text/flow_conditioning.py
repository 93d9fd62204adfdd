"""Conditioning of flow-matching families: what the transformer reads of the states of their text encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from gpu_runner.networks.conditioning import Conditioning, TextEncodingOptions
from gpu_runner.networks.loaded import LoadedCheckpoint

from .t5 import encode_t5

T5 = "t5_xxl"
ClipStates = tuple[Tensor, Tensor | None]  # (chunks, 77, width) and the pooled state of the first chunk


def join_states(
    checkpoint: LoadedCheckpoint, prompt: str, options: TextEncodingOptions, clip: Sequence[ClipStates]
) -> Conditioning:
    """Join the states of CLIP, in the order of the family's text encoders, with those of T5."""
    t5 = _t5_states(checkpoint, prompt, options)
    if checkpoint.family == "sd3":
        return _of_sd3(checkpoint.unet.config, clip, t5)
    if t5 is None:
        raise ValueError(f"{checkpoint.facts.label} needs T5")
    pooled = clip[0][1] if clip else None
    return Conditioning(t5, None if pooled is None else pooled.clone())


def _t5_states(checkpoint: LoadedCheckpoint, prompt: str, options: TextEncodingOptions) -> Tensor | None:
    encoder = checkpoint.encoders_by_kind.get(T5)
    if encoder is None:
        return None
    part = next(part for part in checkpoint.facts.text if part.kind == T5)
    return encode_t5(encoder, part, prompt, options.emphasis)


def _of_sd3(config: Mapping[str, int], clip: Sequence[ClipStates], t5: Tensor | None) -> Conditioning:
    """States of CLIP-L and CLIP-G side by side, with zeros up to the widths of the transformer, and then those of T5.

    As in ComfyUI, nothing takes the place of a T5 that is not there.
    """
    context = torch.cat([states for states, _pooled in clip], dim=-1).flatten(0, 1)
    pooled = torch.cat([pooled for _states, pooled in clip if pooled is not None], dim=-1)
    context = functional.pad(context, (0, config["joint_attention_dim"] - context.shape[-1]))
    return Conditioning(
        context if t5 is None else torch.cat([context, t5.to(context)]),
        functional.pad(pooled, (0, config["pooled_projection_dim"] - pooled.shape[-1])).clone(),
    )
