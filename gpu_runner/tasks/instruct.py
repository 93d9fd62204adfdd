"""Editing by instruction: checkpoints whose denoiser also reads the latent of the init image, as InstructPix2Pix.

Brooks et al. 2023, InstructPix2Pix: Learning to Follow Image Editing Instructions.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.operations import EncodeImage, Operation
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.errors import InvalidRequest

from .init_image import Canvas

INSTRUCT_CHANNELS = 8  # input channels of the UNet: latent 4, latent of the init image 4
DEFAULT_IMAGE_SCALE = 1.5


def is_instruct_model(model: LoadedCheckpoint) -> bool:
    return model.facts.flow is None and bool(model.unet.config.in_channels == INSTRUCT_CHANNELS)


def image_scale(model: LoadedCheckpoint, request: GenerationRequest) -> float | None:
    """The guidance by the init image; None for other checkpoints."""
    if not is_instruct_model(model):
        return None
    return DEFAULT_IMAGE_SCALE if request.image_guidance_scale is None else request.image_guidance_scale


def starts_from_noise(model: LoadedCheckpoint, request: GenerationRequest) -> bool:
    return is_instruct_model(model) and request.strength == 1


def conditioning(
    model: LoadedCheckpoint, canvas: Canvas | None, latent: Tensor | None
) -> Generator[Operation, Any, Tensor]:
    """Return the additional UNet input (4, h, w): the latent of the init image, which is not scaled.

    Raises InvalidRequest without an init image.
    """
    if canvas is None or latent is None:
        raise InvalidRequest("an InstructPix2Pix checkpoint needs an init image")
    latent = yield from init_image_latent(model, canvas, latent)
    return latent / model.vae_scaling


def init_image_latent(
    model: LoadedCheckpoint, canvas: Canvas | None, latent: Tensor
) -> Generator[Operation, Any, Tensor]:
    """The latent of the whole init image. That of the pass may have other content in its masked area."""
    if canvas is None or canvas.mask is None:
        return latent
    encoded = yield EncodeImage(model, canvas.pixels)
    return encoded if encoded.shape == latent.shape else latent
