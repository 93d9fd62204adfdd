"""The result of a training: a safetensors file with the metadata of kohya's scripts and of the model specification."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.protocol import GenerationRequest, LoraTraining
from gpu_runner.server.versions import own_version

# Family -> (modelspec.architecture, ss_base_model_version), as kohya's scripts write them.
ARCHITECTURES = {
    "sd15": ("stable-diffusion-v1/lora", "sd_v1"),
    "sd2": ("stable-diffusion-v2-512/lora", "sd_v2"),
    "sdxl": ("stable-diffusion-xl-v1-base/lora", "sdxl_base_v1-0"),
    "sd3": ("stable-diffusion-3/lora", "sd3"),
    "z_image": ("z-image/lora", "z_image"),
}
STABILITY, DIFFUSERS = (
    "https://github.com/Stability-AI/generative-models",
    "https://github.com/huggingface/diffusers",
)
PREDICTIONS = {"v_prediction": "v", "epsilon": "epsilon"}


def lora_file(
    checkpoint: LoadedCheckpoint,
    request: GenerationRequest,
    tensors: dict[str, Tensor],
    *,
    steps: int,
    base_sha256: str,
    date: str,
    captions: Sequence[str] | None = None,
) -> bytes:
    """The file's bytes, which depend on the arguments only. Weights are float16; ``date`` is ISO 8601.

    ``captions``: those that were trained with; None: those of the request.
    """
    assert request.training is not None
    halves = {name: tensor.to(torch.float16).contiguous() for name, tensor in sorted(tensors.items())}
    data = save(halves)
    length = int.from_bytes(data[:8], "little")
    header, weights = json.loads(data[8 : 8 + length]), data[8 + length :]
    hashed = hashlib.sha256(weights).hexdigest()
    metadata = _metadata(checkpoint, request, request.training, steps, base_sha256, date, hashed, captions)
    return _with_metadata(header, metadata) + weights


def _with_metadata(header: dict[str, Any], metadata: dict[str, str]) -> bytes:
    """The header of a safetensors file. The library writes metadata in random order."""
    text = json.dumps({"__metadata__": metadata, **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _metadata(
    checkpoint: LoadedCheckpoint,
    request: GenerationRequest,
    training: LoraTraining,
    steps: int,
    base_sha256: str,
    date: str,
    hashed: str,
    captions: Sequence[str] | None,
) -> dict[str, str]:
    architecture, version = ARCHITECTURES[checkpoint.family]
    is_flow = checkpoint.facts.flow is not None
    captions = training.captions() if captions is None else captions
    tags: dict[str, int] = {}
    for caption in captions:
        for tag in filter(None, (part.strip() for part in caption.split(","))):
            tags[tag] = tags.get(tag, 0) + 1
    known = {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": architecture,
        "modelspec.implementation": DIFFUSERS if is_flow else STABILITY,
        "modelspec.title": training.title,
        "modelspec.author": training.author,
        "modelspec.license": training.license,
        "modelspec.date": date,
        "modelspec.trigger_phrase": training.trigger,
        "modelspec.resolution": f"{request.width}x{request.height}",
        "modelspec.prediction_type": PREDICTIONS.get(checkpoint.prediction_type, ""),
        "modelspec.hash_sha256": f"0x{hashed}",
        "ss_base_model_version": version,
        "ss_sd_model_name": training.base_name,
        "ss_new_sd_model_hash": base_sha256,
        "ss_sd_model_hash": base_sha256[:8],
        "ss_v2": str(checkpoint.family == "sd2"),
        "ss_network_module": "" if is_flow else "networks.lora",
        "ss_network_dim": str(training.rank),
        "ss_network_alpha": str(training.alpha),
        "ss_learning_rate": str(training.learning_rate),
        "ss_text_encoder_lr": str(training.text_encoder_learning_rate),
        "ss_lr_scheduler": training.schedule,
        "ss_lr_warmup_steps": str(training.warmup_steps),
        "ss_min_snr_gamma": "" if is_flow else str(training.min_snr_gamma),
        "ss_max_train_steps": str(training.steps),
        "ss_steps": str(steps),
        "ss_batch_size_per_device": str(training.batch_size),
        "ss_num_train_images": str(len(training.images)),
        "ss_resolution": f"({request.width}, {request.height})",
        "ss_enable_bucket": "True",
        "ss_clip_skip": "" if request.clip_skip == 1 else str(request.clip_skip),
        "ss_seed": str(request.seed),
        "ss_mixed_precision": "no" if checkpoint.dtype == torch.float32 else "bf16",
        "ss_output_name": training.title,
        "ss_tag_frequency": json.dumps({"": tags}, ensure_ascii=False),
        "ss_training_software": f"Atelier {own_version()}",
    }
    return {name: value for name, value in known.items() if value}
