"""Text and syntax of a prompt. Only text goes to the text model, so that A1111's syntax stays as it is.

Syntax are tags such as ``<lora:name:0.8>``, brackets with their weights, prompt editing and alternation, BREAK and AND,
escapes, wildcards, commas, and the names of embeddings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import regex

from gpu_runner.protocol.prompt.embedding_names import EmbeddingNames, escaped

# Possessive and bounded repetitions: linear in the length of the prompt.
SYNTAX = regex.compile(
    r"""
    <\w{1,30}:[^>]{1,500}>                              # <lora:name:0.8>
    | \\[()\[\]\\|]?                                    # an escape
    | :\s*+[+-]?(?:\d++(?:\.\d*+)?|\.\d++)\s*+(?=[)\]]|\bAND\b|$) # a weight, or when a change happens
    | \b(?:BREAK|AND)\b
    | __[\w/*-]+__                                      # a wildcard
    | [()\[\]{}|:<>,\n]
    """,
    regex.VERBOSE,
)
FOREIGN_LETTER = regex.compile(r"[\p{L}--[A-Za-z]]", regex.VERSION1)
LETTER = regex.compile(r"\p{L}")
WEIGHT = regex.compile(r":\s*+[+-]?(?:\d++(?:\.\d*+)?|\.\d++)$")  # of a part that AND joins
SEPARATORS = frozenset({",", "\n"})
KEYWORD = regex.compile(r"\b(?:AND|BREAK)\b")


@dataclass(frozen=True)
class Part:
    """Part of a prompt. ``is_text``: words for the text encoder; otherwise syntax."""

    content: str
    is_text: bool

    @property
    def has_foreign_letters(self) -> bool:
        """Whether it has letters that English has not."""
        return self.is_text and FOREIGN_LETTER.search(self.content) is not None

    @property
    def is_tag(self) -> bool:
        return not self.is_text and len(self.content) > 1 and self.content.startswith("<")

    @property
    def has_letters(self) -> bool:
        return self.is_text and LETTER.search(self.content) is not None

    def with_text(self, text: str) -> Part:
        """With another text, and the spaces around it as before."""
        start = len(self.content) - len(self.content.lstrip())
        end = len(self.content.rstrip())
        return Part(self.content[:start] + text + self.content[end:], True)


def parts_of(prompt: str, embeddings: Iterable[str] = ()) -> list[Part]:
    """Split a prompt. The contents of the parts together are the prompt, except for the notation of embedding names."""
    names = EmbeddingNames(embeddings)
    return [part for part in _split(prompt, names) if part.content]


def _split(prompt: str, names: EmbeddingNames) -> Iterator[Part]:
    done = 0
    for match in SYNTAX.finditer(prompt):
        yield from _texts(prompt[done : match.start()], names)
        yield Part(match[0], False)
        done = match.end()
    yield from _texts(prompt[done:], names)


def _texts(text: str, names: EmbeddingNames) -> Iterator[Part]:
    for plain, name in names.split(text):
        yield Part(escaped(name), False) if name else Part(plain, True)


def joined(parts: Iterable[Part]) -> str:
    return "".join(part.content for part in parts)


def words_of(prompt: str) -> str:
    """The text of a prompt without its syntax."""
    kept = (part.content if part.is_text or part.content in SEPARATORS else " " for part in parts_of(prompt))
    return " ".join("".join(kept).split())


def is_plain(parts: Iterable[Part]) -> bool:
    """Whether there is no syntax but commas and line breaks."""
    return all(part.is_text or part.content in SEPARATORS for part in parts)


def as_words(text: str) -> str:
    """A text of the model as it is written in a prompt: nothing in it is syntax."""
    text = KEYWORD.sub(lambda match: match[0].lower(), text)
    text = regex.sub(r"[<>{}]|__", "", text)
    return escaped(regex.sub(r"\s*:\s*", ", ", text)).strip(" ,")


def with_details(prompt: str, details: str) -> str:
    """Append details to a prompt: to the first of the parts that AND joins, before its weight."""
    parts = parts_of(prompt)
    end = next((index for index, part in enumerate(parts) if part.content == "AND"), len(parts))
    first, rest = joined(parts[:end]).rstrip(), joined(parts[end:])
    weight = WEIGHT.search(first) if rest else None
    words, weighted = (first[: weight.start()], weight[0]) if weight else (first, "")
    added = f"{words.rstrip(' ,')}, {details}" if words.strip(" ,") else details
    return f"{added} {weighted} {rest}".replace("  ", " ").rstrip() if rest else added
