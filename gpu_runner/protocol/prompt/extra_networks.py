"""Parser of extra network tags in prompts: ``<lora:NAME:0.8>``. No torch: the dialects parse them too."""

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


class InvalidTag(ValueError):
    """A tag with an invalid argument. The message is safe to show to clients."""


@dataclass(frozen=True)
class Tag:
    """A tag ``<kind:name:...>`` with positional and named arguments."""

    kind: str
    name: str
    positional: tuple[str, ...] = ()
    named: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Tag:
        """Parse a tag including its angle brackets."""
        kind, *arguments = text[1:-1].split(":")
        named = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
        name, *positional = [argument for argument in arguments if "=" not in argument] or [""]
        return cls(kind, name, tuple(positional), named)

    @property
    def is_lora(self) -> bool:
        return self.kind in LORA_KINDS

    @property
    def text_encoder(self) -> float:
        """Weight for the text encoder: ``te`` or the first argument; 1 by default. Raises InvalidTag."""
        return self._number("te", 0, 1.0)

    @property
    def unet(self) -> float:
        """Weight for the UNet: ``unet`` or the second argument; by default that of the text encoder. Raises InvalidTag."""
        return self._number("unet", 1, self.text_encoder)

    @property
    def rank(self) -> int | None:
        """Number of ranks to use: ``dyn`` or the third argument; None means all. Raises InvalidTag."""
        rank = self._number("dyn", 2, 0.0)
        return int(rank) or None

    def _number(self, name: str, index: int, default: float) -> float:
        text = self.named.get(name) or (self.positional[index] if index < len(self.positional) else "")
        try:
            value = float(text) if text else default
        except ValueError:
            value = float("nan")
        if not isfinite(value):
            raise InvalidTag(f"{name} must be a finite number (got {text!r})")
        return value


def extra_networks(text: str) -> tuple[str, list[Tag]]:
    """Return the text without tags, and the tags in order."""
    if "<" not in text:
        return text, []
    tokens = list(_LEXER.lex(text))
    return "".join(_plain(tokens)), [Tag.read(token) for token in tokens if token.type == "TAG"]


def _plain(tokens: list[Token]) -> Iterator[str]:
    return (token.value for token in tokens if token.type != "TAG")
