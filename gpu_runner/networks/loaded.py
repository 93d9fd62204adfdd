"""Data classes for loaded models. The code that loads them is in gpu_runner.models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import torch
from cachetools import LRUCache
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    ControlNetModel,
    UNet2DConditionModel,
)
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from gpu_runner.protocol.errors import NonFiniteOutput
from gpu_runner.protocol.families.family import Family
from gpu_runner.protocol.families.registry import family_of

from .conditioning import Conditioning, Embedding, TextEncodingOptions
from .module_copies import moved

TextModel: TypeAlias = CLIPTextModel | CLIPTextModelWithProjection


ENCODINGS_KEPT = 64
TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")


@dataclass(eq=False)
class LoadedCheckpoint:
    """A loaded checkpoint: denoiser, VAE and text encoders.

    ``unet`` is the UNet of a diffusion model, or the transformer of a flow-matching one.

    A reference to it keeps its weights in memory, so do not hold one for longer than a job.
    """

    key: str  # the file's SHA-256, with a suffix for registry overrides and variants
    family: str
    unet: UNet2DConditionModel | Any
    vae: AutoencoderKL  # or that of FLUX.2 or Qwen-Image
    text_encoder: TextModel
    alphas_cumprod: Tensor | None  # None: a flow-matching model
    prediction_type: str
    vae_scaling: float
    size_bytes: int
    text_encoder_2: TextModel | None = None
    text_encoder_3: TextModel | None = None
    text_kinds: tuple[str, ...] = ()  # of a flow-matching model: the kind of each text encoder
    variant: str = ""  # of the family, as far as the file tells
    vae_shift: float = 0.0  # latent = (encoded - vae_shift) * vae_scaling
    embeddings: Mapping[str, Embedding] = field(default_factory=dict)  # textual inversions, by name
    encodings: LRUCache[tuple[TextEncodingOptions, str], Conditioning] = (
        field(  # accessed by the engine thread only
            default_factory=lambda: LRUCache(ENCODINGS_KEPT)
        )
    )
    # Keys of the parts: variants that share a part have the same key, so their operations can be batched.
    unet_key: str = ""
    text_key: str = ""
    vae_key: str = ""

    def __post_init__(self) -> None:
        self.unet_key = self.unet_key or self.key
        self.text_key = self.text_key or self.key
        self.vae_key = self.vae_key or self.key

    @property
    def facts(self) -> Family:
        """What distinguishes its family from others."""
        return family_of(self.family, self.variant)

    @property
    def text_encoders(self) -> list[TextModel]:
        found = (self.text_encoder, self.text_encoder_2, self.text_encoder_3)
        return [encoder for encoder in found if encoder is not None]

    @property
    def encoders_by_kind(self) -> dict[str, Any]:
        """Text encoders of a flow-matching model by kind; empty if it has none yet."""
        return dict(zip(self.text_kinds, self.text_encoders, strict=False))

    @property
    def has_vae(self) -> bool:
        """Whether there is a VAE: that of the file, or a named one."""
        return isinstance(self.vae, AutoencoderKL | AutoencoderKLFlux2 | AutoencoderKLQwenImage)

    @property
    def has_text_encoder(self) -> bool:
        """Whether there are the text encoders that the family needs: those of the file, or named ones."""
        if self.facts.flow is not None:
            return all(part.optional or part.kind in self.text_kinds for part in self.facts.text)
        return any(True for _ in self.text_encoder.parameters())

    @property
    def is_sdxl(self) -> bool:
        """Whether the UNet takes sizes and the pooled text embedding, as SDXL and its refiner do."""
        return self.facts.flow is None and self.unet.config.addition_embed_type == "text_time"

    def is_built_like(self, other: LoadedCheckpoint) -> bool:
        """Whether LoRAs, embeddings and ControlNets of one checkpoint fit the other (equal context width)."""
        if self.facts.flow is not None or other.facts.flow is not None:
            return self.family == other.family
        return self.unet.config.cross_attention_dim == other.unet.config.cross_attention_dim

    def moved(self, device: torch.device) -> LoadedCheckpoint:
        """Return a copy on another device."""
        modules = {name: moved(module, device) for name, module in self.modules().items()}
        return replace(self, **modules)  # type: ignore[arg-type]

    def modules(self) -> dict[str, nn.Module]:
        names = ("unet", "vae", *TEXT_ENCODERS)
        return {name: module for name in names if (module := getattr(self, name)) is not None}

    # The modules' own `dtype` and `device` properties iterate over all parameters, which takes about 1 ms.

    @property
    def dtype(self) -> torch.dtype:
        return self._first_weight.dtype

    @property
    def device(self) -> torch.device:
        return self._first_weight.device

    @property
    def _first_weight(self) -> Tensor:
        return next(self.unet.parameters())


@dataclass(eq=False)
class LoadedControlNet:
    """A loaded ControlNet, split so that the control image is encoded only once.

    ``embedding`` encodes the control image; ``net`` takes its output at each denoising step.
    """

    key: str  # the file's SHA-256
    family: str
    net: ControlNetModel
    embedding: nn.Module
    pools: bool  # residuals are averaged over height and width (global average pooling)
    size_bytes: int
    device: torch.device
    dtype: torch.dtype

    @property
    def outputs(self) -> int:
        """Number of residuals, from the first down block to the middle block."""
        return len(self.net.controlnet_down_blocks) + 1


@dataclass(eq=False)
class LoadedFlowControlNet(LoadedControlNet):
    """A loaded ControlNet of a diffusion transformer.

    ``embedding`` encodes the pixels of the control image, with XLabs' networks for FLUX.1; all others read its latent.
    """

    net: Any
    residuals: int = 0
    modes: int = 0  # number of kinds of control images that a union tells apart
    mask: str = ""  # "needed" or "optional": whether it reads the area to repaint
    reads_pixels: bool = False

    @property
    def outputs(self) -> int:
        return self.residuals


@dataclass(eq=False)
class LoadedUpscaler:
    """A loaded upscaling network."""

    key: str  # the file's SHA-256
    scale: int
    descriptor: Any
    size_bytes: int

    def __call__(self, pixels: Sequence[Tensor]) -> list[Tensor]:
        """Upscale images of (3, height, width), in [-1, 1], all of the same size. The network uses [0, 1]."""
        batch = torch.stack([(image + 1) / 2 for image in pixels])
        enlarged = self.descriptor(batch.to(self.descriptor.device, self.descriptor.dtype))
        return list((enlarged.float() * 2 - 1).unbind())


@dataclass(eq=False)
class LoadedFaceRestorer:
    """A loaded face restoration network."""

    key: str  # the file's SHA-256
    model: nn.Module
    size_bytes: int

    def __call__(self, faces: Sequence[Tensor]) -> list[Tensor]:
        """Restore aligned square face images in [-1, 1].

        The noise is read from the model file, not drawn, so the result is deterministic.
        Raises NonFiniteOutput if the output contains NaN or infinity.
        """
        weight = next(self.model.parameters())
        batch = torch.stack(list(faces)).to(weight.device, weight.dtype)
        restored = self.model(batch, return_rgb=False, randomize_noise=False)[0].float()
        if not torch.isfinite(restored).all():
            raise NonFiniteOutput("the face restorer produced NaN values")
        return list(restored.unbind())
