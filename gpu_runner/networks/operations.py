"""Device operations that an image generator yields. Each names the model that executes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gpu_runner.networks.diffusion.guidance import DenoiseInput
from gpu_runner.networks.loaded import LoadedFaceRestorer, LoadedUpscaler

from .conditioning import TextEncodingOptions
from .loaded import LoadedCheckpoint, LoadedControlNet


@dataclass(frozen=True, eq=False)
class EncodeText:
    """Encode prompts. Result: one Conditioning per prompt."""

    model: LoadedCheckpoint
    prompts: tuple[str, ...]
    options: TextEncodingOptions


@dataclass(frozen=True, eq=False)
class EncodeImage:
    """Encode pixels of (3, height, width) with the VAE. Result: the latent, (4, height / 8, width / 8)."""

    model: LoadedCheckpoint
    pixels: Tensor


@dataclass(frozen=True, eq=False)
class Denoise:
    """Predict the denoised latent. Result: a Tensor, or GuidedAndUnguided if ``guidance.returns_unguided`` is set."""

    model: LoadedCheckpoint
    input: DenoiseInput

    @property
    def pixels(self) -> int:
        """Pixels of the image that the input is the latent of."""
        height, width = self.input.x.shape[-2:]
        return height * width * self.model.facts.latents.scale**2


@dataclass(frozen=True, eq=False)
class DecodeLatent:
    """Decode a latent with the VAE. Result: pixels of (3, height, width)."""

    model: LoadedCheckpoint
    latent: Tensor


@dataclass(frozen=True, eq=False)
class UpscaleTile:
    """Upscale a tile of (3, height, width). Result: pixels of (3, height * scale, width * scale)."""

    model: LoadedUpscaler
    pixels: Tensor


@dataclass(frozen=True, eq=False)
class RestoreFace:
    """Restore an aligned face of (3, 512, 512) pixels. Result: pixels of the same shape."""

    model: LoadedFaceRestorer
    pixels: Tensor


@dataclass(frozen=True, eq=False)
class EncodeHint:
    """Encode a control image of (3, height, width), in [0, 1], with the ControlNet's embedding."""

    model: LoadedControlNet
    pixels: Tensor


@dataclass(frozen=True, eq=False)
class OffloadedWork:
    """Long-running CPU work for a helper thread, not a device operation. Result: its return value."""

    work: Callable[[], Any]


@dataclass(frozen=True, eq=False)
class StepsLeftOut:
    """Not an operation: an image reports that it needs this many steps less than its plan says. Result: None."""

    count: int


Operation = EncodeText | EncodeImage | Denoise | DecodeLatent | UpscaleTile | RestoreFace | EncodeHint
