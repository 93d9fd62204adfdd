"""Prompts in the words of ComfyUI's text encoder, which knows weights, and no schedules, BREAK or AND."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gpu_runner.protocol.prompt.attention import parse_attention
from gpu_runner.protocol.prompt.composition import composition
from gpu_runner.protocol.prompt.extra_networks import extra_networks
from gpu_runner.protocol.prompt.schedule import prompt_schedule


class NotInItsWords(ValueError):
    """The message is fit for the client's eyes."""


def positive(text: str, steps: int, embeddings: Mapping[str, str] | None = None) -> str:
    parts = composition(extra_networks(text)[0])
    if len(parts) > 1 or parts[0][1] != 1:
        raise NotInItsWords("parts divided by AND")
    return negative(parts[0][0], steps, embeddings)


def negative(text: str, steps: int, embeddings: Mapping[str, str] | None = None) -> str:
    schedule = prompt_schedule(text, steps)
    if len(schedule) > 1:
        raise NotInItsWords("words that change between steps")
    sections = parse_attention(schedule[0].text)
    if len(sections) > 1:
        raise NotInItsWords("BREAK")
    written = "".join(
        _written(_with_embeddings(words, embeddings or {}), weight) for words, weight in sections[0]
    )
    return written.strip()


def _written(words: str, weight: float) -> str:
    escaped = words.replace("(", r"\(").replace(")", r"\)")
    return escaped if weight == 1 else f"({escaped}:{weight:.4g})"


def _with_embeddings(words: str, names: Mapping[str, str]) -> str:
    """``names``: ours, and the server's. It looks for the mark at the beginning of what stands between two spaces."""
    for ours, theirs in sorted(names.items(), key=lambda pair: len(pair[0]), reverse=True):
        said = re.compile(rf"\s*(?<!\w)(?<!embedding:){re.escape(ours)}(?!\w)\s*", re.IGNORECASE)
        words = said.sub(lambda _found, name=theirs: f" embedding:{name} ", words)  # type: ignore[misc]
    return words
