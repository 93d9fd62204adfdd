"""What a picture under way can ask of the device. Each ask names the model that is to answer it."""

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
    """Answered with a Conditioning for each of the prompts."""

    model: LoadedCheckpoint
    prompts: tuple[str, ...]
    wording: TextEncodingOptions


@dataclass(frozen=True, eq=False)
class EncodeImage:
    """Answered with the latent of (3, height, width) pixels."""

    model: LoadedCheckpoint
    pixels: Tensor


@dataclass(frozen=True, eq=False)
class Denoise:
    """Answered with the denoised estimate; with an Apart where its guidance says so."""

    model: LoadedCheckpoint
    question: DenoiseInput


@dataclass(frozen=True, eq=False)
class DecodeLatent:
    """Answered with (3, height, width) pixels."""

    model: LoadedCheckpoint
    latent: Tensor


@dataclass(frozen=True, eq=False)
class UpscaleTile:
    """Answered with (3, height, width) pixels, larger by the model's scale."""

    model: LoadedUpscaler
    pixels: Tensor


@dataclass(frozen=True, eq=False)
class RestoreFace:
    """Answered with the same face, (3, 512, 512) pixels of its aligned square, restored."""

    model: LoadedFaceRestorer
    pixels: Tensor


@dataclass(frozen=True, eq=False)
class EncodeHint:
    """Answered with what a ControlNet reads of (3, height, width) pixels, from 0 to 1."""

    model: LoadedControlNet
    pixels: Tensor


@dataclass(frozen=True, eq=False)
class OffloadedWork:
    """No ask of the device: work of more than a moment, done beside the engine's thread, and answered with its result."""

    work: Callable[[], Any]


Operation = EncodeText | EncodeImage | Denoise | DecodeLatent | UpscaleTile | RestoreFace | EncodeHint
