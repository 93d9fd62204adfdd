"""Loads a text encoder from a file of its own: CLIP in the layout of transformers, T5, or Qwen3."""

from __future__ import annotations

import torch

from gpu_runner.networks.loaded_text import LoadedTextEncoder
from gpu_runner.networks.module_copies import size_bytes
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection import config_inference
from gpu_runner.protocol.model_detection.parts.text_encoders import find_text_encoders

from .language_models import load_qwen2, load_qwen3
from .meta_init import BUILDING_ERRORS, reason
from .t5 import load_t5
from .text_encoders import load_text_encoders
from .vision_language_models import load_qwen2_5_vl

QWEN_PREFIXES = ("model.", "", "text_encoder.model.")


def load_text_encoder(
    file: TensorFile, model_file: ModelFile, device: torch.device, dtype: torch.dtype
) -> LoadedTextEncoder:
    """Load the text encoder. Raises ModelUnavailable for files of other kinds."""
    name = model_file.path
    try:
        kind, module = _load(file, device, dtype)
    except BUILDING_ERRORS as error:
        raise ModelUnavailable(f"{name} cannot be used: {reason(error)}") from error
    return LoadedTextEncoder(model_file.sha256, kind, module, size_bytes(module))


def _load(file: TensorFile, device: torch.device, dtype: torch.dtype) -> tuple[str, torch.nn.Module]:
    for prefix in QWEN_PREFIXES:
        if f"{prefix}layers.0.self_attn.q_norm.weight" in file.shapes:
            return "qwen3_4b", load_qwen3(file, prefix, device, dtype)
    for found in find_text_encoders(file.shapes):
        if found.kind == "qwen2_5_vl_7b":
            prefix = found.blocks.removesuffix("layers.")
            if found.vision:
                return found.kind, load_qwen2_5_vl(file, prefix, found.vision, device, dtype)
            return found.kind, load_qwen2(file, prefix, device, dtype)
        if found.kind == "t5_xxl":
            return found.kind, load_t5(file, found.prefix, device, dtype)
    kind, encoder = config_inference.infer_clip_file(file.shapes)
    overrides = config_inference.read_overrides(file.metadata)["text_encoder"]
    loaded = load_text_encoders(file, [config_inference.replaced(encoder, overrides)], device, dtype)
    return kind, loaded.first
