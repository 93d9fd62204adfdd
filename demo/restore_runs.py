"""``python -m demo.restore_runs``: creates a training state from the shipped checkpoint.

Autoencoder, text encoder and UNet are those of the file; optimizers are reset. ``python -m demo.train_unet`` resumes from it.
"""

from __future__ import annotations

import hashlib

import torch

from demo.architectures.demo_model import new_unet
from demo.data.latents import WHITE_VAE
from demo.export import OUTPUT
from demo.learning import checkpointing
from demo.learning.muon import split_parameters
from demo.learning.pretraining import Pretraining, save_state
from demo.train_text_encoder import PATH as TEXT_ENCODER
from demo.train_unet import EARLY, SIZES, STEPS
from demo.train_unet import PATH as UNET
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import ModelFile


def main() -> None:
    if UNET.exists():
        raise SystemExit(f"{UNET} already exists")
    file = ModelFile(path=OUTPUT.name, sha256=hashlib.sha256(OUTPUT.read_bytes()).hexdigest())
    shipped = ModelStore(OUTPUT.parent, "cpu", torch.float32, 2**30).get(file)
    checkpointing.save(WHITE_VAE, shipped.vae.state_dict())
    checkpointing.save(TEXT_ENCODER, shipped.text_encoder.state_dict())
    unet = new_unet()
    unet.load_state_dict(shipped.unet.state_dict())
    save_state(
        UNET, Pretraining(UNET, unet, SIZES, split_parameters), int(EARLY * STEPS)
    )  # resumes with the large sizes


if __name__ == "__main__":
    main()
