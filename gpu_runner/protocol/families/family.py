"""What distinguishes one family of models from another, as plain data. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

# How the denoiser takes the flow time t (0 is the image, 1 is noise). Its output is the velocity, noise - image, or
# with "1-t" the negative of it.
Timestep = Literal["t", "1000t", "1-t"]
# classifier_free: a second row for the negative prompt. embedded: a value that the denoiser reads, without negative
# prompt. none: distilled, neither.
GuidanceKind = Literal["classifier_free", "embedded", "none"]
Feature = Literal[
    "clip_skip",
    "control_image",  # the transformer reads the latent of an edge or depth map with each token
    "controlnet",
    "emphasis",  # weights of words, as in (word:1.2)
    "fill",  # the transformer reads the latent of the image outside the mask, and the mask
    "image_guidance",
    "lora",
    "magic_mix",
    "references",  # the transformer reads the init image beside the latent
    "refiner",
    "textual_inversion",
    "tiling",
]


@dataclass(frozen=True)
class Latents:
    """The space that a family denoises in. ``vae`` names the VAEs that fit: those of one name share it."""

    vae: str
    channels: int
    scale: int = 8  # image pixels per latent pixel, along one side
    patch: int = 1  # latent pixels per token of the denoiser, along one side
    scaling_factor: float = 1.0  # latent = (encoded - shift_factor) * scaling_factor
    shift_factor: float = 0.0

    @property
    def multiple(self) -> int:
        """Sides of an image in pixels must be multiples of this."""
        return self.scale * self.patch

    def shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Shape of the latent of an image: (channels, height, width)."""
        return self.channels, height // self.scale, width // self.scale

    @property
    def vae_channels(self) -> int:
        """Channels of the VAE, whose latent pixels are always 8 image pixels wide; several may be packed into one."""
        return self.channels // (self.scale // 8) ** 2

    def tokens(self, width: int, height: int) -> int:
        """Number of tokens of the denoiser for an image of this size."""
        return (width // self.multiple) * (height // self.multiple)


MANY_TOKENS = 4300


@dataclass(frozen=True)
class Shift:
    """Shift of a flow schedule: t / (1 - t) is multiplied by ``factor``, or by a factor that grows with the tokens.

    ``line`` gives two points (tokens, mu); mu is linear in the number of tokens, and the factor is e**mu. Esser et al.
    2024, "Scaling Rectified Flow Transformers", section 5.3.2; the line is that of the reference code of FLUX.1.
    """

    factor: float = 1.0
    line: tuple[tuple[int, float], tuple[int, float]] | None = None
    # The last time above 0: all others are stretched between it and 1. 0: as they are.
    terminal: float = 0.0
    # Two lines (slope, offset) of mu over tokens, for 10 and for 200 steps, as in the pipeline of FLUX.2. It is linear in
    # the steps between, and above MANY_TOKENS that of 200 steps.
    by_steps: tuple[tuple[float, float], tuple[float, float]] | None = None

    def of(self, tokens: int, steps: int) -> float:
        """Factor for an image of so many tokens, and so many steps."""
        if self.by_steps is not None:
            few, many = (slope * tokens + offset for slope, offset in self.by_steps)
            share = 1.0 if tokens > MANY_TOKENS else (steps - 10) / 190
            return math.exp(few + (many - few) * share)
        if self.line is None:
            return self.factor
        (fewest, low), (most, high) = self.line
        return math.exp(low + (high - low) * (tokens - fewest) / (most - fewest))


@dataclass(frozen=True)
class Flow:
    """Rectified flow: x_t = (1 - t) * image + t * noise, and the denoiser predicts noise - image."""

    timestep: Timestep
    shift: Shift


@dataclass(frozen=True)
class TextPart:
    """One text encoder: ``kind`` is that of its file, ``tokens`` the length of its window.

    ``padded``: prompts are padded to the whole window, and the padding is part of the conditioning. ``penultimate``: the
    states before the last layer are used, without the final norm.
    """

    kind: Literal["clip_l", "clip_g", "t5_xxl", "umt5", "qwen3_4b", "qwen2_5_vl_7b"]
    tokens: int
    padded: bool = True
    optional: bool = False  # the denoiser was trained to work without it
    penultimate: bool = False
    layers: tuple[
        int, ...
    ] = ()  # whose states stand side by side, counted from the embeddings; empty: the last ones

    @property
    def stacked(self) -> int:
        """Width of the conditioning, in widths of the text encoder."""
        return len(self.layers) or 1


@dataclass(frozen=True)
class Defaults:
    """What a checkpoint of the family draws with where neither request nor checkpoint says anything."""

    steps: int = 20
    guidance: float = 7.0
    sampler: str = "Euler"
    scheduler: str = "Automatic"
    side: int = 512


@dataclass(frozen=True)
class Family:
    """A family of models: checkpoints with one architecture, whose LoRAs, ControlNets and VAEs fit each other.

    ``flow`` is None for diffusion models. ``parameters`` of a transformer decide its price (docs/billing.md); 0: that of
    Stable Diffusion 1.x. ``schedulers`` and ``samplers`` are None where all are allowed; the first scheduler is what
    "Automatic" means.
    """

    name: str  # the value of ``family`` in the registry
    label: str
    latents: Latents
    text: tuple[TextPart, ...]
    features: frozenset[Feature]
    defaults: Defaults
    flow: Flow | None = None
    guidance: GuidanceKind = "classifier_free"
    keeps_norm: bool = (
        False  # each token of the guided velocity gets the norm that it has for the prompt alone
    )
    samplers: tuple[str, ...] | None = None
    schedulers: tuple[str, ...] | None = None
    parameters: float = 0.0
    is_drawn: bool = True  # whether the engine draws it; others are only recognized

    def allows(self, feature: Feature) -> bool:
        return feature in self.features

    def allows_sampler(self, name: str) -> bool:
        return self.samplers is None or name in self.samplers

    def allows_scheduler(self, label: str) -> bool:
        return self.schedulers is None or label == "Automatic" or label in self.schedulers
