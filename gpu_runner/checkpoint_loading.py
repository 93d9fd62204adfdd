"""A checkpoint in one file, in the LDM layout, to the modules of diffusers and transformers.

Modules are built without weights, and the tensors of the file become the weights: nothing is initialised in vain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

import torch
from cachetools import LRUCache
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn

from gpu_runner import configurations
from gpu_runner.building import BUILDING_ERRORS, reason, with_weights, without_weights
from gpu_runner.conditioning import Conditioning, Embedding, Wording
from gpu_runner.configurations import Config
from gpu_runner.families import identify, prediction_type, zero_terminal_snr
from gpu_runner.ldm_layout import UNET_PREFIX, VAE_PREFIX, to_diffusers, unet_pairs, vae_pairs
from gpu_runner.lora_names import Target, targets
from gpu_runner.model_files import ModelUnavailable, TensorFile
from gpu_runner.module_copies import moved, size_bytes
from gpu_runner.noise_schedule import alphas_cumprod, with_zero_terminal_snr
from gpu_runner.prediction import probed
from gpu_runner.protocol import ModelFile
from gpu_runner.text_encoder_loading import TextModel, load_text_encoders
from gpu_runner.tokenizer import ClipTokenizer, clip_tokenizer

PREFIXES = (UNET_PREFIX, VAE_PREFIX, "cond_stage_model.", "conditioner.embedders.")
SUPPORTED_FAMILIES = ("sd15", "sd2", "sdxl")
ENCODINGS_KEPT = 64


@dataclass(eq=False)
class LoadedCheckpoint:
    """A checkpoint ready to draw. Whoever holds it keeps it in memory: hold it no longer than a job."""

    key: str  # the file's SHA-256; more, where the registry knows better than the file, and of a variation
    family: str
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: TextModel
    tokenizer: ClipTokenizer
    alphas_cumprod: Tensor
    prediction_type: str
    vae_scaling: float
    size_bytes: int
    text_encoder_2: TextModel | None = None
    embeddings: Mapping[str, Embedding] = field(default_factory=dict)  # that prompts may say, by name
    encodings: LRUCache[tuple[Wording, str], Conditioning] = field(  # used by the engine's thread only
        default_factory=lambda: LRUCache(ENCODINGS_KEPT)
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

    @cached_property
    def lora_targets(self) -> dict[str, Target]:
        return targets(self)

    # The modules' own properties of these names look at every parameter, which takes a millisecond.

    @property
    def dtype(self) -> torch.dtype:
        return self.unet.conv_in.weight.dtype

    @property
    def device(self) -> torch.device:
        return self.unet.conv_in.weight.device


def key_of(file: ModelFile) -> str:
    """What the registry says of a file makes another checkpoint of it."""
    said = [str(word) for word in (file.prediction_type, file.zero_terminal_snr) if word not in ("", None)]
    return " ".join([file.sha256, *said])


def load_checkpoint(
    file: TensorFile, asked: ModelFile, device: torch.device, dtype: torch.dtype
) -> LoadedCheckpoint:
    name = asked.path
    family = _drawable_family(file, name)
    try:
        configs = configurations.infer(file.shapes, family, file.metadata)
        unet = _unet(file, configs.unet, device, dtype)
        vae = _vae(file, configs.vae, device, vae_dtype(family, dtype))
        text_encoders = load_text_encoders(file, configs.text_encoders, device, dtype)
    except BUILDING_ERRORS as error:
        raise ModelUnavailable(f"{name} cannot be used: {reason(error)}") from error
    return LoadedCheckpoint(
        key=key_of(asked),
        family=family,
        unet=unet,
        vae=vae,
        text_encoder=text_encoders.first,
        text_encoder_2=text_encoders.second,
        tokenizer=clip_tokenizer(),
        alphas_cumprod=_alphas(file, asked),
        prediction_type=asked.prediction_type
        or prediction_type(file.shapes, file.metadata)
        or _undeclared(family, unet),
        vae_scaling=float(configs.vae["scaling_factor"]),
        size_bytes=sum(size_bytes(module) for module in (unet, vae, *text_encoders.all)),
    )


def _undeclared(family: str, unet: UNet2DConditionModel) -> str:
    return probed(unet) if family == "sd2" else "epsilon"


def vae_dtype(family: str, dtype: torch.dtype) -> torch.dtype:
    """SDXL's VAE overflows in half precision."""
    return torch.float32 if family == "sdxl" and dtype == torch.float16 else dtype


def expected_size(file: TensorFile, dtype: torch.dtype) -> int:
    """Bytes that a file will take in memory, from its shapes; averaged copies of a checkpoint's weights stay on disk."""
    drawn_with = [shape for name, shape in file.shapes.items() if name.startswith(PREFIXES)]
    return sum(map(prod, drawn_with or file.shapes.values())) * dtype.itemsize


def _alphas(file: TensorFile, asked: ModelFile) -> Tensor:
    said = asked.zero_terminal_snr
    rescaled = zero_terminal_snr(file.shapes, file.metadata) if said is None else said
    alphas = alphas_cumprod()
    return torch.from_numpy(with_zero_terminal_snr(alphas) if rescaled else alphas)


def _drawable_family(file: TensorFile, name: str) -> str:
    found = identify(file.shapes, file.metadata)
    if found.kind != "checkpoint":
        raise ModelUnavailable(f"{name} is not a checkpoint")
    if found.family not in SUPPORTED_FAMILIES:
        raise ModelUnavailable(f"{name} is of a family that is not supported yet: {found.family}")
    return found.family


def _unet(file: TensorFile, config: Config, device: torch.device, dtype: torch.dtype) -> UNet2DConditionModel:
    unet = without_weights(lambda: UNet2DConditionModel(**config))
    state = to_diffusers(file, UNET_PREFIX, unet_pairs(config), unet.state_dict())
    return with_weights(unet, state, device, dtype).to(memory_format=torch.channels_last)


def _vae(file: TensorFile, config: Config, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    vae = without_weights(lambda: AutoencoderKL(**config))
    state = to_diffusers(file, VAE_PREFIX, vae_pairs(config), vae.state_dict())
    return with_weights(vae, state, device, dtype).to(memory_format=torch.channels_last)
