"""Translation of A1111 prompts to ComfyUI's syntax, which has weights but no schedules, BREAK or AND."""

from __future__ import annotations

from collections.abc import Mapping

from gpu_runner.protocol.prompt.attention import parse_attention
from gpu_runner.protocol.prompt.composition import parse_composition
from gpu_runner.protocol.prompt.embedding_names import EmbeddingNames
from gpu_runner.protocol.prompt.extra_networks import extra_networks
from gpu_runner.protocol.prompt.schedule import prompt_schedule

MARK = "embedding:"


class UntranslatablePrompt(ValueError):
    """A construct that ComfyUI's prompts do not have. The message names it and is safe to show to clients."""


def positive(text: str, steps: int, embeddings: Mapping[str, str] | None = None) -> str:
    """Translate a positive prompt, without its LoRA tags. Raises UntranslatablePrompt.

    ``embeddings`` maps names of the registry to names on the ComfyUI server.
    """
    parts = parse_composition(extra_networks(text)[0])
    if len(parts) > 1 or parts[0][1] != 1:
        raise UntranslatablePrompt("AND")
    return negative(parts[0][0], steps, embeddings)


def negative(text: str, steps: int, embeddings: Mapping[str, str] | None = None) -> str:
    """Translate a negative prompt, where AND has no meaning. Arguments as in ``positive``."""
    schedule = prompt_schedule(text, steps)
    if len(schedule) > 1:
        raise UntranslatablePrompt("prompt editing or alternation between steps")
    sections = parse_attention(schedule[0].text)
    if len(sections) > 1:
        raise UntranslatablePrompt("BREAK")
    translated = "".join(
        _weighted(_with_embeddings(part, embeddings or {}), weight) for part, weight in sections[0]
    )
    return translated.strip()


def _weighted(text: str, weight: float) -> str:
    escaped = text.replace("(", r"\(").replace(")", r"\)")
    return escaped if weight == 1 else f"({escaped}:{weight:.4g})"


def _with_embeddings(text: str, names: Mapping[str, str]) -> str:
    """Mark embeddings with ``embedding:``. ComfyUI expects the mark at the start of a word between spaces."""
    parts = list(EmbeddingNames(names).split(text))
    marked = [
        f" {MARK}{names[name]} " if name else plain.removesuffix(MARK).strip() if len(parts) > 1 else plain
        for plain, name in parts
    ]
    return "".join(marked)
