"""Split prompts into weighted chunks of 75 tokens for CLIP, as A1111 does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gpu_runner.networks.conditioning import Embedding, TextEncodingOptions
from gpu_runner.protocol.prompt.attention import parse_attention

from .tokenizer import BOS_ID, EOS_ID, ClipTokenizer

CHUNK_LENGTH = 75
PLAIN = TextEncodingOptions()
COMMA_ID = 267
PLACEHOLDER = 0  # token id at the position of an embedding vector, which replaces it


@dataclass
class Chunk:
    """Token ids and weights of one CLIP input sequence."""

    tokens: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    embeddings: dict[int, Embedding] = field(default_factory=dict)  # by the position of their first vector

    def add(self, piece: Piece) -> None:
        if isinstance(piece.thing, Embedding):
            self.embeddings[len(self.tokens)] = piece.thing
        self.tokens += piece.tokens
        self.weights += [piece.weight] * len(piece.tokens)

    def split_after_comma(self, backtrack: int) -> Chunk:
        """Remove and return the tokens after the last comma.

        Returns an empty chunk if there is no comma within the last ``backtrack`` tokens.
        """
        length = len(self.tokens)
        commas = (place for place in reversed(range(length)) if self.tokens[place] == COMMA_ID)
        comma = next(commas, None)
        if comma is None or length - comma > backtrack:
            return Chunk()
        cut = comma + 1
        moved = {place - cut: embedding for place, embedding in self.embeddings.items() if place >= cut}
        tail = Chunk(self.tokens[cut:], self.weights[cut:], moved)
        self.embeddings = {place: kept for place, kept in self.embeddings.items() if place < cut}
        del self.tokens[cut:], self.weights[cut:]
        return tail

    def framed(self, padding: int) -> Chunk:
        """Return the chunk with start and end tokens, padded to 77 tokens."""
        missing = CHUNK_LENGTH - len(self.tokens)
        tokens = [BOS_ID, *self.tokens, EOS_ID, *[padding] * missing]
        embeddings = {place + 1: embedding for place, embedding in self.embeddings.items()}
        return Chunk(tokens, [1.0, *self.weights, *[1.0] * (missing + 1)], embeddings)


@dataclass(frozen=True)
class Piece:
    """A token or an embedding. An embedding is never split between chunks."""

    thing: int | Embedding
    weight: float

    @property
    def tokens(self) -> list[int]:
        return [self.thing] if isinstance(self.thing, int) else [PLACEHOLDER] * len(self.thing.vectors[0])


def chunks_of(
    prompt: str, tokenizer: ClipTokenizer, options: TextEncodingOptions = PLAIN, padding: int = EOS_ID
) -> list[Chunk]:
    """Tokenize a prompt into chunks of 77 tokens, at least one.

    BREAK starts a new chunk, even if the previous one is empty. A trailing BREAK adds no empty chunk.
    """
    sections = [[(prompt, 1.0)]] if options.emphasis == "None" else parse_attention(prompt)
    names = Names(tokenizer, options.embeddings)
    chunks: list[Chunk] = []
    for section in sections:
        pieces = (
            Piece(thing, weight) for text, weight in section for thing in names.find(tokenizer.encode(text))
        )
        chunks += _cut(pieces, options.comma_backtrack)
    if len(chunks) > 1 and not chunks[-1].tokens:
        chunks.pop()
    return [chunk.framed(padding) for chunk in chunks]


class Names:
    """Finds embedding names in token sequences. The longest matching name wins."""

    def __init__(self, tokenizer: ClipTokenizer, embeddings: Iterable[Embedding]) -> None:
        written = [(tokenizer.encode(embedding.name), embedding) for embedding in embeddings]
        self._longest_first = sorted(written, key=lambda entry: -len(entry[0]))

    def find(self, tokens: list[int]) -> Iterator[int | Embedding]:
        """Yield the tokens, with each embedding name replaced by its embedding."""
        place = 0
        while place < len(tokens):
            name, thing = self._at(tokens, place) or ([0], tokens[place])
            yield thing
            place += len(name)

    def _at(self, tokens: list[int], place: int) -> tuple[list[int], Embedding] | None:
        starting = (entry for entry in self._longest_first if entry[0] and _starts(tokens, place, entry[0]))
        return next(starting, None)


def _starts(tokens: list[int], place: int, name: list[int]) -> bool:
    return tokens[place : place + len(name)] == name


def _cut(pieces: Iterable[Piece], backtrack: int) -> Iterator[Chunk]:
    chunk = Chunk()
    for piece in pieces:
        if len(chunk.tokens) == CHUNK_LENGTH:
            tail = Chunk() if piece.thing == COMMA_ID else chunk.split_after_comma(backtrack)
            yield chunk
            chunk = tail
        if len(chunk.tokens) + len(piece.tokens) > CHUNK_LENGTH:
            yield chunk
            chunk = Chunk()
        chunk.add(piece)
    yield chunk
