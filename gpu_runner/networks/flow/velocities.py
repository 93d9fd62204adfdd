"""Calls of the transformers of flow-matching families: one function per family, all with the same arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gpu_runner.networks.conditioning import Conditioning
from gpu_runner.networks.device_values import on_device

from .packing import packed, positions, positions_side_by_side, unpacked


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one call. Their latents have one shape; their texts may differ in length only where a family allows it."""

    x: Tensor  # (rows, channels, h, w), in the dtype of the transformer
    times: Tensor  # (rows,) float32, from 0 to 1
    texts: Sequence[Conditioning]
    guidance: Tensor | None = None  # (rows,) float32: values for transformers that read them
    # Each (rows, channels, h, w): latents of images that the transformer sees beside x, of any sizes.
    references: tuple[Tensor, ...] = ()
    channels: Tensor | None = (
        None  # (rows, channels, h, w): what FLUX.1 Fill, Canny and Depth read with each token
    )
    prompts: Sequence[Conditioning] = ()  # the texts, with the prompt for a negative one; empty: the same
    residuals: Mapping[str, Any] = field(default_factory=dict)  # of ControlNets: arguments of the call

    @property
    def images(self) -> tuple[Tensor, ...]:
        """x, and its references."""
        return self.x, *self.references

    @property
    def tokens(self) -> Tensor:
        """x, and its references behind it, in tokens of 2 x 2 latent pixels."""
        return torch.cat([packed(latents) for latents in self.images], dim=1)

    def unpacked(self, tokens: Tensor) -> Tensor:
        """The tokens of x as (rows, channels, h, w), without those of its references."""
        height, width = self.x.shape[-2:]
        return unpacked(tokens[:, : height * width // 4], height, width)


def sd3(transformer: Any, rows: Rows) -> Tensor:
    """SD3Transformer2DModel of diffusers."""
    return transformer(
        hidden_states=rows.x,
        encoder_hidden_states=torch.stack([text.context for text in rows.texts]).to(rows.x),
        pooled_projections=torch.stack([text.pooled for text in rows.texts if text.pooled is not None]).to(
            rows.x
        ),
        timestep=rows.times * 1000,
        **rows.residuals,
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
        **rows.residuals,
        return_dict=False,
    )[0]
    return -torch.stack([output[:, 0] for output in outputs])


def flux1(transformer: Any, rows: Rows) -> Tensor:
    """FluxTransformer2DModel of diffusers: 2 x 2 latent pixels make a token, and text tokens have no position."""
    context = torch.stack([text.context for text in rows.texts]).to(rows.x)
    tokens = rows.tokens
    if rows.channels is not None:
        tokens = torch.cat([tokens, packed(rows.channels)], dim=2)
    output = transformer(
        hidden_states=tokens,
        timestep=rows.times,
        guidance=rows.guidance,
        pooled_projections=torch.stack([text.pooled for text in rows.texts if text.pooled is not None]).to(
            rows.x
        ),
        encoder_hidden_states=context,
        txt_ids=context.new_zeros(context.shape[1], 3),
        img_ids=positions_side_by_side(rows.images),
        **rows.residuals,
        return_dict=False,
    )[0]
    return rows.unpacked(output)


def padded_texts(rows: Rows) -> tuple[Tensor, Tensor | None]:
    """Contexts of one length, and which of their tokens are no padding; None if none is padded."""
    lengths = [len(text.context) for text in rows.texts]
    longest = max(lengths)
    context = torch.stack(
        [functional.pad(text.context, (0, 0, 0, longest - len(text.context))) for text in rows.texts]
    ).to(rows.x)
    if min(lengths) == longest:
        return context, None
    return context, torch.arange(longest, device=rows.x.device) < on_device(lengths, rows.x.device)[:, None]


def qwen_image(transformer: Any, rows: Rows) -> Tensor:
    """QwenImageTransformer2DModel of diffusers. Rows with shorter texts are padded, and the padding is masked."""
    context, mask = padded_texts(rows)
    sizes = [(1, latents.shape[-2] // 2, latents.shape[-1] // 2) for latents in rows.images]
    output = transformer(
        hidden_states=rows.tokens,
        timestep=rows.times,
        encoder_hidden_states=context,
        encoder_hidden_states_mask=mask,
        img_shapes=[sizes] * len(rows.x),
        **rows.residuals,
        return_dict=False,
    )[0]
    return rows.unpacked(output)


def chroma(transformer: Any, rows: Rows) -> Tensor:
    """ChromaTransformer2DModel of diffusers. Rows with shorter texts are padded, and the padding is masked."""
    height, width = rows.x.shape[-2:]
    context, mask = padded_texts(rows)
    if mask is not None:  # the transformer takes that of text and image
        mask = functional.pad(mask, (0, height * width // 4), value=True)
    output = transformer(
        hidden_states=packed(rows.x),
        timestep=rows.times,
        encoder_hidden_states=context,
        txt_ids=context.new_zeros(context.shape[1], 3),
        img_ids=positions(height // 2, width // 2, rows.x.device),
        attention_mask=mask,
        return_dict=False,
    )[0]
    return unpacked(output, height, width)


REFERENCE_TIME = (
    10  # first coordinate of the tokens of the first reference, 20 of the second; those of the image have 0
)


def flux2(transformer: Any, rows: Rows) -> Tensor:
    """Flux2Transformer2DModel of diffusers: a latent pixel is a token, and the tokens of a reference follow."""
    height, width = rows.x.shape[-2:]
    tokens, ids = rows.x.flatten(2).transpose(1, 2), positions(height, width, rows.x.device)
    ids = functional.pad(ids, (0, 1))
    for number, latents in enumerate(rows.references, 1):
        tokens = torch.cat([tokens, latents.flatten(2).transpose(1, 2)], dim=1)
        others = functional.pad(positions(latents.shape[-2], latents.shape[-1], rows.x.device), (0, 1))
        others[:, 0] = REFERENCE_TIME * number
        ids = torch.cat([ids, others])
    context = torch.stack([text.context for text in rows.texts]).to(rows.x)
    places = torch.arange(context.shape[1], device=rows.x.device).float()
    output = transformer(
        hidden_states=tokens,
        timestep=rows.times,
        guidance=rows.guidance,
        encoder_hidden_states=context,
        txt_ids=functional.pad(places[:, None], (3, 0)),
        img_ids=ids,
        return_dict=False,
    )[0]
    return output[:, : height * width].transpose(1, 2).reshape(rows.x.shape)


VELOCITIES: dict[str, Callable[[Any, Rows], Tensor]] = {
    "sd3": sd3,
    "z_image": z_image,
    "flux1": flux1,
    "chroma": chroma,
    "flux2": flux2,
    "qwen_image": qwen_image,
}
