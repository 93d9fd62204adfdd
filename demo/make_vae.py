"""Create the demo VAE: ``python -m demo.make_vae``. It is the VAE of the demo checkpoint with sepia output.

No training: a color matrix is folded into the last convolution, so tests can compute the expected image.
"""

from __future__ import annotations

import json

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from demo.architectures.demo_model import VAE_CONFIG
from demo.data.latents import white_vae
from demo.export import OVERRIDES
from demo.learning.finetuning import MODELS, MODELSPEC
from gpu_runner.models.conversion.ldm_keys import from_diffusers, vae_pairs

# Output RGB from input RGB: the common sepia matrix, scaled so that white stays below 1.
SEPIA = torch.tensor([[0.291, 0.569, 0.140], [0.259, 0.507, 0.124], [0.202, 0.395, 0.097]])


def in_sepia(vae: AutoencoderKL) -> AutoencoderKL:
    """Fold the matrix M into the last convolution. Values c in -1..1 mean (c + 1) / 2, so M maps c to M c + M 1 - 1."""
    last = vae.decoder.conv_out
    with torch.no_grad():
        last.bias[:] = SEPIA @ last.bias + SEPIA.sum(1) - 1
        last.weight[:] = torch.einsum("ij,jkhw->ikhw", SEPIA, last.weight)
    return vae


def main() -> None:
    path = MODELS / "vae" / "atelier-sepia.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    state = from_diffusers(in_sepia(white_vae()).state_dict(), "", vae_pairs(VAE_CONFIG))
    metadata = {
        **MODELSPEC,
        "modelspec.architecture": "stable-diffusion-v1/vae",
        "atelier.config": json.dumps({"vae": OVERRIDES["vae"]}),
    }
    save_file({name: tensor.half().contiguous() for name, tensor in state.items()}, path, metadata)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
