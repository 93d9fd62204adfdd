"""Train the demo's flow-matching transformer: ``python -m demo.flow_matching.train --steps 10000``. Resumes an interrupted run.

Rectified flow as in Stable Diffusion 3 (https://arxiv.org/abs/2403.03206, sections 2 and 3.1): x_t = (1 - t) x_0 + t noise, the
network predicts the velocity noise - x_0, t is drawn logit-normally and shifted to more noise. First on small latents with
short text, where colors and shapes are learned cheaply, then on the sizes that clients use. Some batches have little noise
and captions of other images, so that img2img at low strength keeps the image.
"""

from __future__ import annotations

import torch
from diffusers import SD3Transformer2DModel
from torch import Tensor
from transformers import CLIPTextModel

from demo.flow_matching.architecture import SHIFT, new_transformer
from demo.flow_matching.vae import embedding, widen
from demo.learning import checkpointing
from demo.learning.pretraining import Pretraining, Sizes, Step, options
from demo.train_text_encoder import LENGTH, token_ids, trained_text_encoder
from demo.train_unet import draw_batch

PATH = checkpointing.RUNS / "flow.pt"
SHORT = 32  # tokens; longer than any caption
STEPS = 10000
CLEAN_BATCHES = 0.15  # share of the late batches with little noise and captions of other images
OTHER_DIRECTIONS = 0.05  # weight of the 12 latent directions that carry no signal
SIZES = Sizes(
    scenes={
        (64, 64): 12000,
        (128, 128): 6000,
        (256, 256): 3000,
        (512, 512): 300,
        (256, 192): 500,
        (192, 256): 500,
    },
    batch={(64, 64): 64, (128, 128): 32, (256, 256): 12, (512, 512): 3, (256, 192): 12, (192, 256): 12},
    early={(64, 64): 0.4, (128, 128): 0.6},
    late={(128, 128): 0.1, (256, 256): 0.75, (512, 512): 0.1, (256, 192): 0.025, (192, 256): 0.025},
    early_share=0.35,
)


def split_parameters(
    model: SD3Transformer2DModel,
) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """Return the parameters for (Muon, AdamW): matrices of attention and feed-forward layers, and the rest."""
    matrices, rest = [], []
    for name, parameter in model.named_parameters():
        hidden = parameter.ndim == 2 and (".attn." in name or ".ff" in name)
        (matrices if hidden else rest).append(parameter)
    return matrices, rest


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
    parsed = options(__doc__, STEPS)
    encoder = trained_text_encoder()
    model = new_transformer().train()

    def loss_of(step: Step) -> tuple[Tensor, bool]:
        latents, texts = draw_batch(step.data, step.rows, step.rng)
        latents = widen(latents)
        clean = step.late and step.rng.random() < CLEAN_BATCHES
        if clean:
            step.rng.shuffle(texts)
        states, pooled = encode_prompts(encoder, texts, LENGTH if step.late else SHORT)
        times = draw_times(len(latents), clean, step.generator)
        noise = torch.randn(latents.shape, generator=step.generator)
        at = times[:, None, None, None]
        with torch.autocast("cpu", torch.bfloat16):
            velocity = model((1 - at) * latents + at * noise, states, pooled, times * 1000).sample
        return velocity_loss(velocity.float() - (noise - latents)), not clean

    Pretraining(PATH, model, SIZES, split_parameters).run(parsed.steps, parsed.seed, loss_of)


if __name__ == "__main__":
    main()
