"""Usage numbers of a job in tokens: text as the text encoder reads it, images by their area."""

from __future__ import annotations

import math
from typing import Any

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.prompt.composition import PromptTooLong
from gpu_runner.protocol.prompt.token_count import token_count

TOKEN_SIDE = 16  # pixels of the image area that counts as a token


def usage(request: GenerationRequest, num_images: int, *, with_input: bool = True) -> dict[str, Any]:
    """Usage of ``num_images`` outputs. ``with_input``: whether prompts and input images are counted as well."""
    area = math.ceil(request.width / TOKEN_SIDE) * math.ceil(request.height / TOKEN_SIDE)
    text = _text_tokens(request) if with_input else 0
    inputs = (
        area * len(request.init_images or request.images) if with_input else 0
    )  # read at the size that is drawn
    return {
        "input_tokens": text + inputs,
        "input_tokens_details": {"text_tokens": text, "image_tokens": inputs},
        "output_tokens": area * num_images,
        "output_tokens_details": {"image_tokens": area * num_images, "text_tokens": 0},
        "total_tokens": text + inputs + area * num_images,
    }


def _text_tokens(request: GenerationRequest) -> int:
    try:
        return token_count(request)
    except PromptTooLong:  # only for jobs of an older version: such prompts are refused
        return 0
