"""``<lora:NAME:0.8>`` and its kin: models that a prompt names between angle brackets. No torch: the doors read them too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite

from lark import Lark, Token

LORA_KINDS = frozenset({"lora", "lyco"})

_LEXER = Lark(
    r"""
    start: (TAG | OTHER)*
    TAG.2: /<\w+:[^>]+>/
    OTHER: /[^<]+|</
    """,
    parser="lalr",
    lexer="basic",
)


class BadTag(ValueError):
    """A tag whose arguments say nothing."""


@dataclass(frozen=True)
class Tag:
    """``kind:name``, then arguments by place or by name."""

    kind: str
    name: str
    positional: tuple[str, ...] = ()
    named: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Tag:
        kind, *words = text[1:-1].split(":")
        named = dict(word.split("=", 1) for word in words if "=" in word)
        name, *positional = [word for word in words if "=" not in word] or [""]
        return cls(kind, name, tuple(positional), named)

    @property
    def is_lora(self) -> bool:
        return self.kind in LORA_KINDS

    @property
    def text_encoder(self) -> float:
        return self._number("te", 0, 1.0)

    @property
    def unet(self) -> float:
        """One number alone sets both."""
        return self._number("unet", 1, self.text_encoder)

    @property
    def rank(self) -> int | None:
        """So many ranks of it act; None: all."""
        rank = self._number("dyn", 2, 0.0)
        return int(rank) or None

    def _number(self, name: str, place: int, default: float) -> float:
        word = self.named.get(name) or (self.positional[place] if place < len(self.positional) else "")
        try:
            value = float(word) if word else default
        except ValueError:
            value = float("nan")
        if not isfinite(value):
            raise BadTag(f"{word!r} is no number")
        return value


def extra_networks(text: str) -> tuple[str, list[Tag]]:
    """The text without its tags, and the tags, in order."""
    if "<" not in text:
        return text, []
    tokens = list(_LEXER.lex(text))
    return "".join(_plain(tokens)), [Tag.read(token) for token in tokens if token.type == "TAG"]


def _plain(tokens: list[Token]) -> Iterator[str]:
    return (token.value for token in tokens if token.type != "TAG")
