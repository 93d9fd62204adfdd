"""Prompts that are longer than the window of a family's text encoder. No torch."""

from __future__ import annotations

from gpu_runner.protocol.families.family import Family
from gpu_runner.protocol.generation_request import GenerationRequest

from .qwen_tokenizer import TEMPLATE_TOKENS, chat_tokens


def cut_prompts(family: Family, request: GenerationRequest) -> tuple[str, ...]:
    """Fields of prompts that exceed the window of a language model, whose end is cut off. CLIP takes prompts of any length."""
    part = family.text[0]
    if part.kind != "qwen3_4b" or not request.denoises:
        return ()
    fields = ("prompt", "negative_prompt")
    # A token has at least one byte, so that most prompts need not be tokenized.
    return tuple(
        field
        for field in fields
        if len(getattr(request, field).encode()) + TEMPLATE_TOKENS > part.tokens
        and len(chat_tokens(getattr(request, field))) > part.tokens
    )
