"""A checkpoint in one file, in the LDM layout, to the modules of diffusers and transformers.

Modules are built without weights, and the tensors of the file become the weights: nothing is initialised in vain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from gpu_runner import configurations
from gpu_runner.configurations import Config
from gpu_runner.families import identify, prediction_type
from gpu_runner.ldm_layout import CLIP_PREFIX, UNET_PREFIX, VAE_PREFIX, to_diffusers, unet_pairs, vae_pairs
from gpu_runner.model_files import ModelUnavailable, TensorFile
from gpu_runner.open_clip import OPEN_CLIP_PREFIX, open_clip_to_transformers
from gpu_runner.recent import Recent
from gpu_runner.tokenizer import ClipTokenizer, clip_tokenizer

PREFIXES = (UNET_PREFIX, VAE_PREFIX, CLIP_PREFIX, OPEN_CLIP_PREFIX)
SUPPORTED_FAMILIES = ("sd15", "sd2")
ENCODINGS_KEPT = 64

M = TypeVar("M", bound=nn.Module)


@dataclass(eq=False)
class LoadedCheckpoint:
    """A checkpoint ready to draw. Whoever holds it keeps it in memory: hold it no longer than a job."""

    key: str  # the file's SHA-256
    family: str
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: ClipTokenizer
    alphas_cumprod: Tensor
    prediction_type: str
    vae_scaling: float
    size_bytes: int
    encodings: Recent[tuple[int, str], Tensor] = field(default_factory=lambda: Recent(ENCODINGS_KEPT))


def load_checkpoint(
    file: TensorFile, name: str, key: str, device: torch.device, dtype: torch.dtype
) -> LoadedCheckpoint:
    family = _drawable_family(file, name)
    try:
        configs = configurations.infer(file.shapes, family, file.metadata)
        unet = _unet(file, configs.unet, device, dtype)
        vae = _vae(file, configs.vae, device, dtype)
        text_encoder = _text_encoder(file, family, configs.text_encoder, device, dtype)
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ModelUnavailable(f"{name} cannot be used: {_reason(error)}") from error
    return LoadedCheckpoint(
        key=key,
        family=family,
        unet=unet,
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=clip_tokenizer(),
        alphas_cumprod=alphas_cumprod(),
        prediction_type=prediction_type(file.shapes, file.metadata) or "epsilon",
        vae_scaling=float(configs.vae["scaling_factor"]),
        size_bytes=sum(_size(module) for module in (unet, vae, text_encoder)),
    )


def expected_size(file: TensorFile, dtype: torch.dtype) -> int:
    """Bytes that the checkpoint will take in memory, from its shapes; averaged copies of the weights stay on disk."""
    return (
        sum(prod(shape) for name, shape in file.shapes.items() if name.startswith(PREFIXES)) * dtype.itemsize
    )


def alphas_cumprod() -> Tensor:
    """Stable Diffusion's noise schedule, "scaled linear": every released checkpoint was trained on it."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1.0 - betas, dim=0)


def _drawable_family(file: TensorFile, name: str) -> str:
    found = identify(file.shapes, file.metadata)
    if found.kind != "checkpoint":
        raise ModelUnavailable(f"{name} is not a checkpoint")
    if found.family not in SUPPORTED_FAMILIES:
        raise ModelUnavailable(f"{name} is of a family that is not supported yet: {found.family}")
    return found.family


def _unet(file: TensorFile, config: Config, device: torch.device, dtype: torch.dtype) -> UNet2DConditionModel:
    unet = _without_weights(lambda: UNet2DConditionModel(**config))
    state = to_diffusers(file, UNET_PREFIX, unet_pairs(config), unet.state_dict())
    return _with_weights(unet, state, device, dtype).to(memory_format=torch.channels_last)


def _vae(file: TensorFile, config: Config, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    vae = _without_weights(lambda: AutoencoderKL(**config))
    state = to_diffusers(file, VAE_PREFIX, vae_pairs(config), vae.state_dict())
    return _with_weights(vae, state, device, dtype).to(memory_format=torch.channels_last)


def _text_encoder(
    file: TensorFile, family: str, config: Config, device: torch.device, dtype: torch.dtype
) -> CLIPTextModel:
    encoder = _without_weights(lambda: CLIPTextModel(CLIPTextConfig(**config)))
    own = encoder.state_dict()
    if family == "sd2":
        found: Mapping[str, Tensor] = open_clip_to_transformers(file, config["num_hidden_layers"])
    else:
        found = {
            _bare(name.removeprefix(CLIP_PREFIX)): file[name] for name in file if name.startswith(CLIP_PREFIX)
        }
    state = {name: found[_bare(name)] for name in own}
    # The only buffer that no file holds.
    for module in encoder.modules():
        if hasattr(module, "position_ids"):
            module.position_ids = torch.arange(config["max_position_embeddings"], device=device).expand(1, -1)
    return _with_weights(encoder, state, device, dtype)


def _bare(name: str) -> str:
    """Versions of transformers, and old checkpoints, differ in whether the text model's names have this prefix."""
    return name.removeprefix("text_model.")


def _without_weights(build: Callable[[], M]) -> M:
    with torch.device("meta"):
        return build()


def _with_weights(module: M, state: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype) -> M:
    """Copies, so that neither a file changed on disk nor its handle has a say in what is drawn."""
    for name, empty in module.state_dict().items():
        if state[name].shape != empty.shape:
            raise ValueError(f"{name} is {tuple(state[name].shape)}, not {tuple(empty.shape)}")
    weights = {name: tensor.to(device=device, dtype=dtype, copy=True) for name, tensor in state.items()}
    module.load_state_dict(weights, assign=True)
    return module.eval().requires_grad_(False)


def _size(module: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())


def _reason(error: Exception) -> Any:
    return f"it lacks the tensor {error.args[0]}" if isinstance(error, KeyError) and error.args else error
