"""Prompts to the pieces of 75 tokens that CLIP can read, each token with its weight, as A1111 cuts them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gpu_runner.prompt import parse_attention
from gpu_runner.tokenizer import BOS_ID, EOS_ID, ClipTokenizer

CHUNK_LENGTH = 75
COMMA_ID = 267
COMMA_BACKTRACK = 20  # a comma this near to the end of a chunk moves what follows it to the next one


@dataclass
class Chunk:
    tokens: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def add(self, token: int, weight: float) -> None:
        self.tokens.append(token)
        self.weights.append(weight)

    def split_after_comma(self) -> Chunk:
        """Cut off and return what follows a comma near the end; nothing when there is no such comma."""
        length = len(self.tokens)
        commas = (place for place in reversed(range(length)) if self.tokens[place] == COMMA_ID)
        comma = next(commas, None)
        if comma is None or length - comma > COMMA_BACKTRACK:
            return Chunk()
        tail = Chunk(self.tokens[comma + 1 :], self.weights[comma + 1 :])
        del self.tokens[comma + 1 :], self.weights[comma + 1 :]
        return tail

    def framed(self, padding: int) -> Chunk:
        """Between the start and the end token, and filled up: 77 in all."""
        missing = CHUNK_LENGTH - len(self.tokens)
        tokens = [BOS_ID, *self.tokens, EOS_ID, *[padding] * missing]
        return Chunk(tokens, [1.0, *self.weights, *[1.0] * (missing + 1)])


def chunks_of(prompt: str, tokenizer: ClipTokenizer, padding: int = EOS_ID) -> list[Chunk]:
    """At least one chunk. BREAK begins a new one even where that leaves an empty one; none follows a last BREAK."""
    chunks: list[Chunk] = []
    for section in parse_attention(prompt):
        chunks += _cut((token, weight) for text, weight in section for token in tokenizer.encode(text))
    if len(chunks) > 1 and not chunks[-1].tokens:
        chunks.pop()
    return [chunk.framed(padding) for chunk in chunks]


def _cut(weighted: Iterable[tuple[int, float]]) -> Iterator[Chunk]:
    chunk = Chunk()
    for token, weight in weighted:
        if len(chunk.tokens) == CHUNK_LENGTH:
            tail = Chunk() if token == COMMA_ID else chunk.split_after_comma()
            yield chunk
            chunk = tail
        chunk.add(token, weight)
    yield chunk
