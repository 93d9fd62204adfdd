"""Calls of the transformers of flow-matching families: one function per family, all with the same arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpu_runner.networks.conditioning import Conditioning


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one call. Their latents have one shape; their texts may differ in length only where a family allows it."""

    x: Tensor  # (rows, channels, h, w), in the dtype of the transformer
    times: Tensor  # (rows,) float32, from 0 to 1
    texts: Sequence[Conditioning]
    guidance: Tensor | None = None  # (rows,) float32: values for transformers that read them


def sd3(transformer: Any, rows: Rows) -> Tensor:
    """SD3Transformer2DModel of diffusers."""
    return transformer(
        hidden_states=rows.x,
        encoder_hidden_states=torch.stack([text.context for text in rows.texts]).to(rows.x),
        pooled_projections=torch.stack([text.pooled for text in rows.texts if text.pooled is not None]).to(
            rows.x
        ),
        timestep=rows.times * 1000,
        return_dict=False,
    )[0]


def z_image(transformer: Any, rows: Rows) -> Tensor:
    """ZImageTransformer2DModel of diffusers: time runs from noise to image, and the output is image - noise.

    It takes texts of different lengths, and pads and masks them itself.
    """
    outputs = transformer(
        list(rows.x[:, :, None].unbind()),
        1 - rows.times,
        [text.context.to(rows.x) for text in rows.texts],
        return_dict=False,
    )[0]
    return -torch.stack([output[:, 0] for output in outputs])


VELOCITIES: dict[str, Callable[[Any, Rows], Tensor]] = {"sd3": sd3, "z_image": z_image}
