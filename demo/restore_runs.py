"""``python -m demo.restore_runs``: training state made from the shipped file, where the state itself is gone.

Autoencoder, text encoder and UNet as shipped; optimizers begin anew. Then ``python -m demo.train_unet`` goes on from there.
"""

from __future__ import annotations

import hashlib

import torch

from demo import checkpointing
from demo.architecture import new_unet
from demo.export import OUTPUT
from demo.latents import WHITE_VAE
from demo.train_text_encoder import PATH as TEXT_ENCODER
from demo.train_unet import EARLY, STEPS, new_average, new_optimizers
from demo.train_unet import PATH as UNET
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import ModelFile


def main() -> None:
    if UNET.exists():
        raise SystemExit(f"{UNET} is there already")
    file = ModelFile(path=OUTPUT.name, sha256=hashlib.sha256(OUTPUT.read_bytes()).hexdigest())
    shipped = ModelStore(OUTPUT.parent, "cpu", torch.float32, 2**30).get(file)
    checkpointing.save(WHITE_VAE, shipped.vae.state_dict())
    checkpointing.save(TEXT_ENCODER, shipped.text_encoder.state_dict())
    unet = new_unet()
    unet.load_state_dict(shipped.unet.state_dict())
    checkpointing.save(
        UNET,
        {
            "unet": unet.state_dict(),
            "average": new_average(unet).state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in new_optimizers(unet)],
            "step": int(EARLY * STEPS),  # what follows are the sizes that the APIs use
        },
    )


if __name__ == "__main__":
    main()
