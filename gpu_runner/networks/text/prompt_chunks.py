"""Split prompts into weighted chunks of 75 tokens for CLIP, as A1111 does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from gpu_runner.networks.conditioning import Embedding, TextEncodingOptions
from gpu_runner.protocol.prompt.attention import WeightedText
from gpu_runner.protocol.prompt.embedding_names import EmbeddingNames, sections_of
from gpu_runner.protocol.prompt.tokenizer import BOS_ID, EOS_ID, ClipTokenizer

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
    embeddings = {embedding.name: embedding for embedding in options.embeddings}
    names = EmbeddingNames(embeddings)
    chunks: list[Chunk] = []
    for section in sections_of(prompt, options.emphasis):
        chunks += _cut(_pieces(section, tokenizer, names, embeddings), options.comma_backtrack)
    if len(chunks) > 1 and not chunks[-1].tokens:
        chunks.pop()
    return [chunk.framed(padding) for chunk in chunks]


def _pieces(
    section: Iterable[WeightedText],
    tokenizer: ClipTokenizer,
    names: EmbeddingNames,
    embeddings: Mapping[str, Embedding],
) -> Iterator[Piece]:
    for text, weight in section:
        for plain, name in names.split(text):
            things = [embeddings[name]] if name else tokenizer.encode(plain)
            yield from (Piece(thing, weight) for thing in things)


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
