"""Train the demo text encoder: ``python -m demo.train_text_encoder``. A minute or two.

Two CLIP layers learn to tell colour, shape and background of a wording from their last states, through a linear head
that is thrown away. Every position from the end of the text on must know, and so must the one before last layer, so that
clip skip 2 still understands. Trained jointly with the UNet instead, colours stay unbound for thousands of steps.
"""

from __future__ import annotations

import argparse
import random

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel

from demo import checkpointing
from demo.architecture import TEXT_ENCODER_CONFIG, new_text_encoder
from demo.captions import describe
from demo.shapes import COLOUR_NAMES, SHAPES
from gpu_runner.networks.text.tokenizer import clip_tokenizer

LENGTH = 77
PATH = checkpointing.RUNS / "text_encoder.pt"


def token_ids(texts: list[str]) -> Tensor:
    """(n, 77): start, text, end, and the end token as padding, as Stable Diffusion 1.x has it."""
    start, end = TEXT_ENCODER_CONFIG["bos_token_id"], TEXT_ENCODER_CONFIG["eos_token_id"]
    tokenizer = clip_tokenizer()
    rows = [[start, *tokenizer.encode(text)[: LENGTH - 2], end] for text in texts]
    return torch.tensor([row + [end] * (LENGTH - len(row)) for row in rows])


def final_norm(encoder: CLIPTextModel) -> nn.Module:
    return getattr(encoder, "text_model", encoder).final_layer_norm


class Head(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            [nn.Linear(width, n) for n in (len(COLOUR_NAMES), len(SHAPES), len(COLOUR_NAMES))]
        )

    def loss(self, states: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy, states (n, width), labels (n, 3); unspecified labels do not count."""
        return sum(functional.cross_entropy(part(states), labels[:, i]) for i, part in enumerate(self.parts))

    def right(self, states: Tensor, labels: Tensor) -> float:
        guesses = torch.stack([part(states).argmax(-1) for part in self.parts], 1)
        return ((guesses == labels) | (labels < 0)).all(1).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=900)
    options = parser.parse_args()
    torch.manual_seed(2)
    rng = random.Random(2)
    encoder = new_text_encoder().train()
    width = TEXT_ENCODER_CONFIG["hidden_size"]
    with torch.no_grad():
        encoder.get_input_embeddings().weight.normal_(std=0.3)
    heads = nn.ModuleList([Head(width), Head(width)])
    optimizer = torch.optim.AdamW(
        [*encoder.parameters(), *heads.parameters()], lr=2e-3, weight_decay=0.0, fused=True
    )
    for step, share in checkpointing.steps_from(0, options.steps):
        drawn = []
        for _ in range(64):
            colour, background = rng.sample(range(len(COLOUR_NAMES)), 2)
            drawn.append(describe(rng.randrange(len(SHAPES)), colour, background, rng))
        ids = token_ids([text for text, _labels in drawn])
        labels = torch.tensor([labels for _text, labels in drawn])
        ends = (ids == TEXT_ENCODER_CONFIG["eos_token_id"]).int().argmax(1)
        places = ends + (torch.rand(len(ids)) * (LENGTH - ends)).long() * (torch.rand(len(ids)) < 0.5)
        output = encoder(ids, output_hidden_states=True)
        rows = torch.arange(len(ids))
        last = output.last_hidden_state[rows, places]
        before = final_norm(encoder)(output.hidden_states[-2][rows, places])
        loss = heads[0].loss(last, labels) + 0.5 * heads[1].loss(before, labels)
        optimizer.param_groups[0]["lr"] = 2e-3 * share
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if step % 100 == 0 or step + 1 == options.steps:
            right = heads[0].right(last, labels)
            print(f"{step} loss {loss.item():.3f} right {right:.2f} std {last.std().item():.2f}", flush=True)
    checkpointing.save(PATH, encoder.state_dict())


def trained_text_encoder() -> CLIPTextModel:
    state = checkpointing.load(PATH)
    if state is None:
        raise SystemExit("train the text encoder first: python -m demo.train_text_encoder")
    encoder = new_text_encoder().eval().requires_grad_(False)
    encoder.load_state_dict(state)
    return encoder


if __name__ == "__main__":
    main()
