"""Write the trained parts as one LDM-layout file: ``python -m demo.export [--output PATH]``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from demo.architectures.demo_model import TEXT_ENCODER_CONFIG, UNET_CONFIG, VAE_CONFIG, new_unet
from demo.data.latents import white_vae
from demo.learning import checkpointing
from demo.train_text_encoder import trained_text_encoder
from demo.train_unet import PATH as UNET_PATH
from gpu_runner.models.conversion.ldm_keys import (
    CLIP_PREFIX,
    UNET_PREFIX,
    VAE_PREFIX,
    from_diffusers,
    unet_pairs,
    vae_pairs,
)

OUTPUT = Path(__file__).parent / "models" / "checkpoints" / "atelier-shapes.safetensors"

# Configuration that a loader cannot infer from the tensor shapes.
OVERRIDES = {
    "unet": {key: UNET_CONFIG[key] for key in ("attention_head_dim", "norm_num_groups", "sample_size")},
    "vae": {key: VAE_CONFIG[key] for key in ("norm_num_groups", "sample_size", "scaling_factor")},
    "text_encoder": {key: TEXT_ENCODER_CONFIG[key] for key in ("num_attention_heads", "hidden_act")},
}
METADATA = {
    "format": "pt",
    "modelspec.sai_model_spec": "1.0.0",
    "modelspec.architecture": "stable-diffusion-v1",
    "modelspec.implementation": "sgm",
    "modelspec.title": "Atelier shapes",
    "modelspec.author": "Atelier",
    "modelspec.license": "Apache-2.0",
    "modelspec.resolution": "256x256",
    "modelspec.prediction_type": "epsilon",
    "modelspec.description": "A tiny Stable Diffusion 1.x that draws a colored shape on a colored background.",
    "modelspec.usage_hint": "a red circle on a blue background",
    "atelier.config": json.dumps(OVERRIDES),
}


def averaged_unet_state() -> dict[str, Tensor]:
    state = checkpointing.load(UNET_PATH)
    if state is None:
        raise SystemExit("train the UNet first: python -m demo.train_unet")
    names = new_unet().state_dict()
    return {name: state["average"][f"module.{name}"] for name in names}


def single_file(unet: Mapping[str, Tensor]) -> dict[str, Tensor]:
    tensors = from_diffusers(unet, UNET_PREFIX, unet_pairs(UNET_CONFIG))
    tensors |= from_diffusers(white_vae().state_dict(), VAE_PREFIX, vae_pairs(VAE_CONFIG))
    for name, tensor in trained_text_encoder().state_dict().items():
        inner = name if name.startswith("text_model.") else f"text_model.{name}"
        if not inner.endswith("position_ids"):
            tensors[CLIP_PREFIX + inner] = tensor
    return {name: tensor.to(torch.float16).contiguous() for name, tensor in sorted(tensors.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    output = parser.parse_args().output
    output.parent.mkdir(parents=True, exist_ok=True)
    save_file(single_file(averaged_unet_state()), output, metadata=METADATA)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
