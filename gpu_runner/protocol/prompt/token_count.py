"""Number of tokens that the text encoder reads for a request. No torch."""

from __future__ import annotations

from gpu_runner.protocol.generation_request import GenerationRequest

from .embedding_names import passes_of, sections_of
from .tokenizer import clip_tokenizer


def token_count(request: GenerationRequest) -> int:
    """CLIP tokens of all distinct prompt texts, without start, end and padding tokens.

    Brackets, weights and LoRA tags are not read as text; the name of an embedding is. Raises PromptTooLong.
    """
    texts = {text for prompts in passes_of(request) for text in prompts.texts}
    sections = [section for text in texts for section in sections_of(text, request.emphasis)]
    encode = clip_tokenizer().encode
    return sum(len(encode(part)) for section in sections for part, _weight in section)
