"""Train the demo text encoder: ``python -m demo.train_text_encoder``. Takes one or two minutes.

Two CLIP layers are trained to classify color, shape and background of a caption, with linear heads that are discarded
afterwards. The loss covers all positions from the end of the text on, and the penultimate layer too, so that clip skip 2 works.
If it is trained jointly with the UNet instead, colors are not bound to objects for thousands of steps.
"""

from __future__ import annotations

import argparse
import random

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel

from demo.architectures.demo_model import TEXT_ENCODER_CONFIG, new_text_encoder
from demo.data.captions import describe
from demo.data.shapes import COLOR_NAMES, SHAPES
from demo.learning import checkpointing
from gpu_runner.protocol.prompt.tokenizer import clip_tokenizer

LENGTH = 77
PATH = checkpointing.RUNS / "text_encoder.pt"


def token_ids(texts: list[str]) -> Tensor:
    """Token ids (n, 77): start, text, end, padded with the end token, as in Stable Diffusion 1.x."""
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
            [nn.Linear(width, n) for n in (len(COLOR_NAMES), len(SHAPES), len(COLOR_NAMES))]
        )

    def loss(self, states: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of states (n, width) and labels (n, 3); unspecified labels are ignored."""
        return sum(functional.cross_entropy(part(states), labels[:, i]) for i, part in enumerate(self.parts))

    def accuracy(self, states: Tensor, labels: Tensor) -> float:
        """Share of rows whose specified labels are all predicted correctly."""
        predictions = torch.stack([part(states).argmax(-1) for part in self.parts], 1)
        return ((predictions == labels) | (labels < 0)).all(1).float().mean().item()


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
        samples = []
        for _ in range(64):
            color, background = rng.sample(range(len(COLOR_NAMES)), 2)
            samples.append(describe(rng.randrange(len(SHAPES)), color, background, rng))
        ids = token_ids([text for text, _labels in samples])
        labels = torch.tensor([labels for _text, labels in samples])
        ends = (ids == TEXT_ENCODER_CONFIG["eos_token_id"]).int().argmax(1)
        positions = ends + (torch.rand(len(ids)) * (LENGTH - ends)).long() * (torch.rand(len(ids)) < 0.5)
        output = encoder(ids, output_hidden_states=True)
        rows = torch.arange(len(ids))
        last = output.last_hidden_state[rows, positions]
        penultimate = final_norm(encoder)(output.hidden_states[-2][rows, positions])
        loss = heads[0].loss(last, labels) + 0.5 * heads[1].loss(penultimate, labels)
        optimizer.param_groups[0]["lr"] = 2e-3 * share
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if step % 100 == 0 or step + 1 == options.steps:
            accuracy = heads[0].accuracy(last, labels)
            print(
                f"{step} loss {loss.item():.3f} accuracy {accuracy:.2f} std {last.std().item():.2f}",
                flush=True,
            )
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
