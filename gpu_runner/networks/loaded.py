"""Loaded models: plain data, apart from the code that loads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import torch
from cachetools import LRUCache
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from gpu_runner.protocol.errors import NonFiniteOutput

from .conditioning import Conditioning, Embedding, TextEncodingOptions
from .module_copies import moved

TextModel: TypeAlias = CLIPTextModel | CLIPTextModelWithProjection


ENCODINGS_KEPT = 64


@dataclass(eq=False)
class LoadedCheckpoint:
    """A checkpoint ready to draw. Whoever holds it keeps it in memory: hold it no longer than a job."""

    key: str  # the file's SHA-256; more, where the registry knows better than the file, and of a variation
    family: str
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: TextModel
    alphas_cumprod: Tensor
    prediction_type: str
    vae_scaling: float
    size_bytes: int
    text_encoder_2: TextModel | None = None
    embeddings: Mapping[str, Embedding] = field(default_factory=dict)  # that prompts may say, by name
    encodings: LRUCache[tuple[TextEncodingOptions, str], Conditioning] = (
        field(  # used by the engine's thread only
            default_factory=lambda: LRUCache(ENCODINGS_KEPT)
        )
    )
    # Equal where the parts are: the asks of two variations share the calls of a part that they have in common.
    unet_key: str = ""
    text_key: str = ""
    vae_key: str = ""

    def __post_init__(self) -> None:
        self.unet_key = self.unet_key or self.key
        self.text_key = self.text_key or self.key
        self.vae_key = self.vae_key or self.key

    @property
    def text_encoders(self) -> list[TextModel]:
        return (
            [self.text_encoder] if self.text_encoder_2 is None else [self.text_encoder, self.text_encoder_2]
        )

    @property
    def is_sdxl(self) -> bool:
        """Whether it is told sizes and the pooled text, as SDXL and its refiner are."""
        return self.unet.config.addition_embed_type == "text_time"

    def is_built_like(self, other: LoadedCheckpoint) -> bool:
        """Whether what was made for the one fits the other."""
        return self.unet.config.cross_attention_dim == other.unet.config.cross_attention_dim

    def moved(self, device: torch.device) -> LoadedCheckpoint:
        modules = {name: moved(module, device) for name, module in self.modules().items()}
        return replace(self, **modules)  # type: ignore[arg-type]

    def modules(self) -> dict[str, nn.Module]:
        names = ("unet", "vae", "text_encoder", "text_encoder_2")
        return {name: module for name in names if (module := getattr(self, name)) is not None}

    # The modules' own properties of these names look at every parameter, which takes a millisecond.

    @property
    def dtype(self) -> torch.dtype:
        return self.unet.conv_in.weight.dtype

    @property
    def device(self) -> torch.device:
        return self.unet.conv_in.weight.device


@dataclass(eq=False)
class LoadedControlNet:
    """``net`` takes hints that ``embedding`` has read: a hint is the same at every step, so it is read once."""

    key: str  # the file's SHA-256
    family: str
    net: ControlNetModel
    embedding: nn.Module
    pools: bool  # its residuals say what, not where: they are averaged over the picture
    size_bytes: int
    device: torch.device
    dtype: torch.dtype


@dataclass(eq=False)
class LoadedUpscaler:
    key: str  # the file's SHA-256
    scale: int
    descriptor: Any
    size_bytes: int

    def __call__(self, pixels: Sequence[Tensor]) -> list[Tensor]:
        """From -1 to 1, as everywhere; the models know 0 to 1. All pictures are of one size."""
        batch = torch.stack([(picture + 1) / 2 for picture in pixels])
        enlarged = self.descriptor(batch.to(self.descriptor.device, self.descriptor.dtype))
        return list((enlarged.float() * 2 - 1).unbind())


@dataclass(eq=False)
class LoadedFaceRestorer:
    key: str  # the file's SHA-256
    model: nn.Module
    size_bytes: int

    def __call__(self, faces: Sequence[Tensor]) -> list[Tensor]:
        """Aligned squares, from -1 to 1. The noise is what the file keeps of its training: the same face is the same again."""
        weight = next(self.model.parameters())
        batch = torch.stack(list(faces)).to(weight.device, weight.dtype)
        restored = self.model(batch, return_rgb=False, randomize_noise=False)[0].float()
        if not torch.isfinite(restored).all():
            raise NonFiniteOutput("the face restorer produced a face that is not made of numbers")
        return list(restored.unbind())
