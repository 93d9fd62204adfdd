"""Price of one evaluation of a transformer relative to Stable Diffusion 1.x at the same image size. No torch."""

from __future__ import annotations

from .family import Family
from .references import VISION_TOKEN

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
    return round(relative_cost(family.parameters, *_tokens_of_a_megapixel(family)), 1)


def _tokens_of_a_megapixel(family: Family) -> tuple[float, float]:
    """Tokens of the image and of padded texts."""
    return MEGAPIXEL / family.latents.multiple**2, sum(part.tokens for part in family.text if part.padded)


def reference_pixels(family: Family, output_pixels: int) -> float:
    """Pixels of an output that cost as much as one of its reference images: its tokens, and those of what the text
    encoder reads of it.
    """
    references = family.references
    if references is None:
        return 0.0
    tokens = references.pixels(output_pixels) / family.latents.multiple**2
    tokens += references.vision_area / VISION_TOKEN**2
    return tokens * MEGAPIXEL / sum(_tokens_of_a_megapixel(family))
