"""Prompts that are longer than the window of a family's text encoder. No torch."""

from __future__ import annotations

from gpu_runner.protocol.families.family import Family, TextPart
from gpu_runner.protocol.generation_request import GenerationRequest

from .qwen_tokenizer import DESCRIBE_TOKENS, TEMPLATE_TOKENS, chat_tokens, described_tokens, tokens_of
from .t5_tokenizer import t5_length

MOST_TEMPLATE_TOKENS = TEMPLATE_TOKENS + 4  # with an empty thought


def window_of(family: Family) -> TextPart | None:
    """The text encoder whose window cuts a prompt; None if the family has none. CLIP takes prompts of any length.

    A text encoder that may be absent does not count: CLIP reads the whole prompt beside it.
    """
    parts = (part for part in family.text if not part.kind.startswith("clip") and not part.optional)
    return next(parts, None)


def cut_prompts(family: Family, request: GenerationRequest) -> tuple[str, ...]:
    """Fields of prompts that exceed the window of a language model, whose end is cut off."""
    part = window_of(family)
    if part is None or not request.denoises:
        return ()
    fields = ("prompt", "negative_prompt")
    # A token has at least one byte, so that most prompts need not be tokenized.
    return tuple(
        field
        for field in fields
        if len(getattr(request, field).encode()) + MOST_TEMPLATE_TOKENS > part.tokens
        and _length(part, getattr(request, field), request.emphasis) > part.tokens
    )


def _length(part: TextPart, prompt: str, emphasis: str) -> int:
    if part.kind == "t5_xxl":
        return t5_length(prompt, emphasis)
    if part.edits:
        return len(tokens_of(prompt))
    if part.kind == "qwen2_5_vl_7b":
        return len(described_tokens(prompt)) - DESCRIBE_TOKENS
    return len(chat_tokens(prompt, answers_at_once=bool(part.layers)))
