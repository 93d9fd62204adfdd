"""Price of one evaluation of a transformer relative to Stable Diffusion 1.x at the same image size. No torch."""

from __future__ import annotations

from .family import Family

MEGAPIXEL = 1_000_000
# Stable Diffusion 1.5: 339 billion multiplications and additions for a latent of 64 x 64, two operations each.
STABLE_DIFFUSION_OPERATIONS = 2 * 339e9 / (512 * 512 / MEGAPIXEL)


def relative_cost(parameters: float, image_tokens: float, text_tokens: float) -> float:
    """Operations of a transformer over those of Stable Diffusion 1.5, for one megapixel.

    ``parameters`` is a number of weights, each of which is multiplied and added once per token; the attention between
    tokens adds about a tenth at 1024 x 1024 and is left out. ``image_tokens`` are those of a megapixel.
    """
    return 2 * parameters * (image_tokens + text_tokens) / STABLE_DIFFUSION_OPERATIONS


def family_cost(family: Family) -> float:
    """Price of one evaluation of a megapixel in cost units. Diffusion models cost 1."""
    if not family.parameters:
        return 1.0
    image_tokens = MEGAPIXEL / family.latents.multiple**2
    text_tokens = sum(part.tokens for part in family.text if part.padded)
    return round(relative_cost(family.parameters, image_tokens, text_tokens), 1)
