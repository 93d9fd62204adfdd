"""Loads the VAE of Qwen-Image, in the names of Wan 2.1, from which it was made, or of diffusers."""

from __future__ import annotations

from typing import Any, cast

import torch
from diffusers import AutoencoderKL, AutoencoderKLQwenImage
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.model_detection.config_inference import shape_of

from .meta_init import with_weights, without_weights


def load_qwen_vae(file: TensorFile, prefix: str, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    """Build the VAE below ``prefix``: four levels with two blocks each. Raises one of BUILDING_ERRORS.

    Means and deviations of its latents are in no file; they are those of the released model.
    """
    stored = {name.removeprefix(prefix): name for name in file.shapes if name.startswith(prefix)}
    names = convert_wan_vae_to_diffusers(stored) if "decoder.conv1.weight" in stored else stored
    shapes = {name: file.shapes[source] for name, source in names.items()}
    first, latent = shape_of(shapes, "encoder.conv_in.weight"), shape_of(shapes, "decoder.conv_in.weight")
    build = lambda: AutoencoderKLQwenImage(base_dim=first[0], z_dim=latent[1], input_channels=first[1])  # noqa: E731
    vae: Any = without_weights(build)
    state = {name: file[names[name]] for name in vae.state_dict()}
    return cast("AutoencoderKL", with_weights(vae, state, device, dtype))
