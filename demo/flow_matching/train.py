"""Train the demo's flow-matching transformer: ``python -m demo.flow_matching.train --steps 8000``. Resumes an interrupted run.

Rectified flow as in Stable Diffusion 3 (https://arxiv.org/abs/2403.03206, sections 2 and 3.1): x_t = (1 - t) x_0 + t noise, the
network predicts the velocity noise - x_0, t is drawn logit-normally and shifted to more noise. First on small latents with
short text, where colors and shapes are learned cheaply, then on the sizes that clients use. Some batches have little noise
and captions of other images, so that img2img at low strength keeps the image.
"""

from __future__ import annotations

import argparse
import random
import time

import torch
from diffusers import SD3Transformer2DModel
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import CLIPTextModel

from demo import checkpointing
from demo.flow_matching.architecture import SHIFT, new_transformer
from demo.flow_matching.vae import embedding, widen
from demo.latents import LatentSet, latent_set, white_vae
from demo.muon import Muon
from demo.train_text_encoder import LENGTH, token_ids, trained_text_encoder
from demo.train_unet import draw_batch

PATH = checkpointing.RUNS / "flow.pt"
MUON_LR, ADAM_LR = 0.01, 1e-3
EARLY = 0.35  # share of the steps with small latents and short text
SHORT = 32  # tokens; longer than any caption
STEPS = 8000
CLEAN_BATCHES = 0.15  # share of the late batches with little noise and captions of other images
OTHER_DIRECTIONS = 0.05  # weight of the 12 latent directions that carry no signal

# (height, width) in pixels -> (scenes, batch size, share of the early steps, share of the late steps)
SIZES = {
    (64, 64): (12000, 64, 0.4, 0.0),
    (128, 128): (6000, 32, 0.6, 0.1),
    (256, 256): (3000, 12, 0.0, 0.75),
    (512, 512): (300, 3, 0.0, 0.1),
    (256, 192): (500, 12, 0.0, 0.025),
    (192, 256): (500, 12, 0.0, 0.025),
}


def split_parameters(
    model: SD3Transformer2DModel,
) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """Return the parameters for (Muon, AdamW): matrices of attention and feed-forward layers, and the rest."""
    matrices, rest = [], []
    for name, parameter in model.named_parameters():
        hidden = parameter.ndim == 2 and (".attn." in name or ".ff" in name)
        (matrices if hidden else rest).append(parameter)
    return matrices, rest


def new_optimizers(model: SD3Transformer2DModel) -> list[torch.optim.Optimizer]:
    matrices, rest = split_parameters(model)
    return [Muon(matrices, lr=MUON_LR), torch.optim.AdamW(rest, lr=ADAM_LR, betas=(0.9, 0.99), fused=True)]


def new_average(model: SD3Transformer2DModel) -> AveragedModel:
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99))


@torch.no_grad()
def encode_prompts(encoder: CLIPTextModel, texts: list[str], length: int = LENGTH) -> tuple[Tensor, Tensor]:
    """Penultimate states (n, length, 64) and the pooled state (n, 64), as Stable Diffusion 3 uses CLIP-L."""
    output = encoder(token_ids(texts), output_hidden_states=True)
    return output.hidden_states[-2][:, :length], output.pooler_output


def draw_times(rows: int, clean: bool, generator: torch.Generator) -> Tensor:
    uniform = torch.sigmoid(torch.randn(rows, generator=generator))
    times = SHIFT * uniform / (1 + (SHIFT - 1) * uniform)
    return times * 0.4 if clean else times


def velocity_loss(error: Tensor) -> Tensor:
    """Mean square of errors (n, 16, h, w), mostly of the four directions that the autoencoder uses."""
    used = torch.einsum("oc,nohw->nchw", embedding(), error)
    everything, signal = error.square().sum(1), used.square().sum(1)
    return (signal + OTHER_DIRECTIONS * (everything - signal)).mean() / used.shape[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    torch.manual_seed(options.seed)

    vae, encoder = white_vae(), trained_text_encoder()
    sets: dict[tuple[int, int], LatentSet] = {}
    model = new_transformer().train()
    optimizers = new_optimizers(model)
    average = new_average(model)
    start = 0
    if state := checkpointing.load(PATH):
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        start = state["step"]

    clock = time.monotonic()
    losses: dict[tuple[int, int], float] = {}
    for step, share in checkpointing.steps_from(start, options.steps):
        rng = random.Random(options.seed * 1_000_003 + step)
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
        late = step >= EARLY * options.steps
        size = rng.choices(list(SIZES), [entry[3 if late else 2] for entry in SIZES.values()])[0]
        if size not in sets:
            sets[size] = latent_set(vae, SIZES[size][0], *size, seed=size[0] * 1000 + size[1])
        latents, texts = draw_batch(sets[size], SIZES[size][1], rng)
        latents = widen(latents)
        clean = late and rng.random() < CLEAN_BATCHES
        if clean:
            rng.shuffle(texts)
        states, pooled = encode_prompts(encoder, texts, LENGTH if late else SHORT)
        times = draw_times(len(latents), clean, generator)
        noise = torch.randn(latents.shape, generator=generator)
        at = times[:, None, None, None]
        with torch.autocast("cpu", torch.bfloat16):
            velocity = model((1 - at) * latents + at * noise, states, pooled, times * 1000).sample
        loss = velocity_loss(velocity.float() - (noise - latents))
        for optimizer, peak in zip(optimizers, (MUON_LR, ADAM_LR), strict=True):
            optimizer.param_groups[0]["lr"] = peak * share
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        if step % 5 == 0:
            average.update_parameters(model)
        if not clean:
            losses[size] = 0.98 * losses.get(size, loss.item()) + 0.02 * loss.item()
        last = step + 1 == options.steps
        if step % 100 == 0 or last:
            rate = (time.monotonic() - clock) / (step - start + 1)
            shown = " ".join(f"{h}x{w} {value:.4f}" for (h, w), value in sorted(losses.items()))
            print(f"{step} {shown} {rate:.2f} s/step", flush=True)
        if (step + 1) % 250 == 0 or last:
            checkpointing.save(
                PATH,
                {
                    "model": model.state_dict(),
                    "average": average.state_dict(),
                    "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                    "step": step + 1,
                },
            )


if __name__ == "__main__":
    main()
