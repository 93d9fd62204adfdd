"""Loads the text encoders of a checkpoint: OpenAI CLIP (SD 1.5), OpenCLIP (SD 2), or both (SDXL)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from gpu_runner.networks.loaded import TextModel
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.model_detection.config_inference import TextEncoder

from .meta_init import with_weights, without_weights


@dataclass(frozen=True)
class TextEncoders:
    first: TextModel
    second: TextModel | None

    @property
    def all(self) -> list[TextModel]:
        return [self.first] if self.second is None else [self.first, self.second]


def load_text_encoders(
    file: TensorFile, configs: list[TextEncoder], device: torch.device, dtype: torch.dtype
) -> TextEncoders:
    loaded = [_load(file, config, device, dtype) for config in configs]
    return TextEncoders(loaded[0], loaded[1] if len(loaded) > 1 else None)


def _load(file: TensorFile, description: TextEncoder, device: torch.device, dtype: torch.dtype) -> TextModel:
    config = CLIPTextConfig(**description.config)
    model = CLIPTextModelWithProjection if description.projects else CLIPTextModel
    encoder: TextModel = without_weights(lambda: model(config))
    found = _file_tensors(file, description, encoder)
    state = {name: found[bare(name)] for name in encoder.state_dict()}
    # position_ids is the only buffer that checkpoint files do not contain.
    for module in encoder.modules():
        if hasattr(module, "position_ids"):
            module.position_ids = torch.arange(config.max_position_embeddings, device=device).expand(1, -1)
    return with_weights(encoder, state, device, dtype)


def _file_tensors(file: TensorFile, description: TextEncoder, encoder: TextModel) -> Mapping[str, Tensor]:
    prefix = description.prefix
    if description.is_open_clip:
        found = convert_open_clip_checkpoint(encoder, file, prefix)
    else:
        found = {name.removeprefix(prefix): file[name] for name in file if name.startswith(prefix)}
    return {bare(name): tensor for name, tensor in found.items()}


def bare(name: str) -> str:
    """Strip the ``text_model.`` prefix, which only some transformers versions and checkpoints use."""
    return name.removeprefix("text_model.")
