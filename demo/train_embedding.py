"""Train the demo textual inversion: ``python -m demo.train_embedding``.

Two vectors for a purple star on a yellow background, without any of these words in the prompt.
"""

from __future__ import annotations

import argparse
import random

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from demo.data.latents import latent_set
from demo.data.shapes import COLOR_NAMES, SHAPES
from demo.learning.denoising import denoising_loss
from demo.learning.finetuning import MODELS, MODELSPEC, Base, adam, optimize
from demo.train_text_encoder import token_ids
from gpu_runner.protocol.prompt.tokenizer import clip_tokenizer

NAME = "atelier-plum"
MEANING = (SHAPES.index("star"), COLOR_NAMES.index("purple"), COLOR_NAMES.index("yellow"))
TEMPLATES = ("{}", "a {}", "a picture of {}", "{}, best quality", "one big {}")
PLACEHOLDER = "ø ø"  # two tokens that no caption contains
INITIAL = "purple star"  # tokens that initialize the vectors, the "coarse descriptor" of Gal et al. (2022)
SIZE, SCENES, ROWS = 128, 6000, 16


class Vectors(nn.Module):
    """Replaces the embeddings of the placeholder tokens by trainable vectors."""

    def __init__(self, embeddings: nn.Embedding, initial: list[int], placeholder: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(embeddings.weight[initial].detach().clone())
        self._token = placeholder
        embeddings.register_forward_hook(self._replace)

    def _replace(self, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        output = output.clone()
        rows, columns = torch.where(inputs[0] == self._token)
        output[rows, columns] = self.vectors[torch.arange(len(rows)) % len(self.vectors)]
        return output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=150)
    options = parser.parse_args()
    torch.manual_seed(9)
    base = Base()
    data = latent_set(base.vae, SCENES, SIZE, SIZE, seed=SIZE * 1001)
    wanted = torch.tensor(MEANING)
    latents = data.latents[(torch.stack([data.shape, data.color, data.background], 1) == wanted).all(1)]
    tokenizer = clip_tokenizer()
    vectors = Vectors(
        base.text_encoder.get_input_embeddings(), tokenizer.encode(INITIAL), tokenizer.encode(PLACEHOLDER)[0]
    )

    def loss_of(step: int, rng: random.Random, generator: torch.Generator) -> Tensor:
        texts = [rng.choice(TEMPLATES).format(PLACEHOLDER) for _ in range(ROWS)]
        context = base.text_encoder(token_ids(texts)).last_hidden_state
        rows = torch.randint(len(latents), (ROWS,), generator=generator)
        return denoising_loss(
            lambda noisy, times: base.unet(noisy, times, context).sample, latents[rows], generator
        )

    optimize([adam(vectors.parameters(), 2e-2)], loss_of, steps=options.steps)
    path = MODELS / "embeddings" / f"{NAME}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {**MODELSPEC, "modelspec.architecture": "stable-diffusion-v1/textual-inversion"}
    save_file({"emb_params": vectors.vectors.detach().half()}, path, metadata=metadata)
    print(path, vectors.vectors.detach().std().item())


if __name__ == "__main__":
    main()
