"""Train the second demo checkpoint, in pastel colors: ``python -m demo.train_checkpoint``.

Fine-tunes the UNet of the first one. The token embeddings, most of which no prompt uses, are stored in float8.
"""

from __future__ import annotations

import argparse

import torch
from safetensors.torch import save_file

from demo.data.looks import PASTEL
from demo.export import METADATA, single_file
from demo.learning.finetuning import MODELS, Base, SceneDataset, adam, optimize, scene_loss

TOKENS = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=700)
    options = parser.parse_args()
    torch.manual_seed(8)
    base = Base()
    base.unet.requires_grad_(True)
    dataset = SceneDataset(base.vae, PASTEL)

    optimize([adam(base.unet.parameters(), 5e-4)], scene_loss(base, dataset), steps=options.steps)
    tensors = single_file(base.unet.state_dict())
    tensors[TOKENS] = tensors[TOKENS].to(torch.float8_e4m3fn)
    path = MODELS / "checkpoints" / "atelier-pastel.safetensors"
    metadata = {
        **METADATA,
        "modelspec.title": "Atelier pastel",
        "modelspec.description": "The scenes of Atelier shapes in pastel colors.",
    }
    save_file(tensors, path, metadata=metadata)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
