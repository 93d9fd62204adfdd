"""Images that Qwen2.5-VL reads beside a prompt. Numbers are those of its image processor in transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gpu_runner.networks.conditioning import PromptImage
from gpu_runner.protocol.families.family import TextPart
from gpu_runner.protocol.prompt.qwen_tokenizer import IMAGE, INSTRUCT_TOKENS, edit_tokens

MERGED = 2  # patches along one side of what becomes a token
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def reads_images(encoder: Any) -> bool:
    """Whether a loaded text encoder has a vision part."""
    return hasattr(encoder, "visual")


def states_with_images(
    encoder: Any, part: TextPart, prompts: Sequence[str], images: Sequence[PromptImage]
) -> list[Tensor]:
    """States of each prompt after the images, (tokens, width), without those of the task. Images are read once."""
    features = _features(encoder, images)
    counts = [len(of_image) for of_image in features]
    return [_states(encoder, part, prompt, images, features, counts) for prompt in prompts]


def _features(encoder: Any, images: Sequence[PromptImage]) -> list[Tensor]:
    """What the vision part says of each image: (tokens, width)."""
    if not images:
        return []
    config = encoder.config.vision_config
    patches = [_patches(image.pixels, config.patch_size, config.temporal_patch_size) for image in images]
    pixels = torch.cat(patches).to(encoder.device, encoder.visual.dtype)
    grid = _grid(images, config.patch_size, encoder.device)
    seen = encoder.visual(pixels, grid_thw=grid).pooler_output
    return list(seen.split([len(one) // MERGED**2 for one in patches]))


def _grid(images: Sequence[PromptImage], patch: int, device: torch.device) -> Tensor:
    sizes = [(1, image.pixels.shape[-2] // patch, image.pixels.shape[-1] // patch) for image in images]
    return torch.tensor(sizes, device=device)


def _patches(pixels: Tensor, patch: int, frames: int) -> Tensor:
    """Patches of an image, those of a token one after another, with the image as each of ``frames`` frames."""
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
    image = ((pixels.cpu() + 1) / 2 - mean) / deviation
    channels, height, width = image.shape
    blocks = image.reshape(
        channels, height // patch // MERGED, MERGED, patch, width // patch // MERGED, MERGED, patch
    )
    blocks = blocks.permute(1, 4, 2, 5, 0, 3, 6)[:, :, :, :, :, None]
    blocks = blocks.expand(-1, -1, -1, -1, -1, frames, -1, -1)
    return blocks.reshape((height // patch) * (width // patch), -1)


def _states(
    encoder: Any,
    part: TextPart,
    prompt: str,
    images: Sequence[PromptImage],
    features: Sequence[Tensor],
    counts: Sequence[int],
) -> Tensor:
    tokens = edit_tokens(prompt, counts, numbered=part.edits == "numbered", most=part.tokens)
    ids = torch.tensor([tokens], device=encoder.device)
    language = encoder.language_model
    embedded = language.embed_tokens(ids)
    places = None
    if images:
        is_image = ids == IMAGE
        embedded = embedded.masked_scatter(is_image[..., None], torch.cat(list(features)).to(embedded))
        grid = _grid(images, encoder.config.vision_config.patch_size, encoder.device)
        places, _deltas = encoder.get_rope_index(ids, mm_token_type_ids=is_image.int(), image_grid_thw=grid)
    states = language(inputs_embeds=embedded, position_ids=places, use_cache=False).last_hidden_state
    return states[0, INSTRUCT_TOKENS:].clone()
