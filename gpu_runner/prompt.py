"""A1111's prompt language: attention, escapes and BREAK. Every text is a prompt; nothing here can fail.

Round and square brackets may overlap, as in ``(a [b) c]``, so what lark cuts into tokens is no tree: each kind of
bracket keeps its own stack. No torch here: admission looks at prompts too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lark import Lark, Token

LEXER = Lark(
    r"""
    start: (ESCAPE | WEIGHT | ROUND | ROUND_END | SQUARE | SQUARE_END | COLON | BAR | TEXT)*
    ESCAPE: /\\[()\[\]\\|]?/
    WEIGHT.2: /:\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)\s*\)/
    ROUND: "("
    ROUND_END: ")"
    SQUARE: "["
    SQUARE_END: "]"
    COLON: ":"
    BAR: "|"
    TEXT: /[^\\()\[\]:|]+/
    """,
    parser="lalr",
    lexer="basic",
)
OPENINGS = {"ROUND_END": "ROUND", "WEIGHT": "ROUND", "SQUARE_END": "SQUARE"}
FACTORS = {"ROUND": 1.1, "SQUARE": 1 / 1.1}
HEAVIEST = 1000.0  # deeper nesting than this says nothing more, and must not overflow
BREAK = re.compile(r"\bBREAK\b")

Weighted = tuple[str, float]
Section = list[Weighted]


def parse_attention(text: str) -> list[Section]:
    """The sections between BREAKs; each a list of texts and their weights, neighbours of equal weight joined."""
    tokens = list(LEXER.lex(text))
    factors, closings = _match_brackets(tokens)
    scopes = {kind: [1.0] for kind in FACTORS}
    sections: list[Section] = [[]]
    for place, token in enumerate(tokens):
        if place in factors:
            scopes[token.type].append(_bounded(scopes[token.type][-1] * factors[place]))
        elif place in closings:
            scopes[closings[place]].pop()
        else:
            _append(sections, token, _bounded(scopes["ROUND"][-1] * scopes["SQUARE"][-1]))
    return sections


def _match_brackets(tokens: list[Token]) -> tuple[dict[int, float], dict[int, str]]:
    """The factor of every opening bracket, and the kind that every matched closing one closes, by place."""
    factors: dict[int, float] = {}
    closings: dict[int, str] = {}
    open_places: dict[str, list[int]] = {kind: [] for kind in FACTORS}
    for place, token in enumerate(tokens):
        kind = OPENINGS.get(token.type)
        if token.type in FACTORS:
            factors[place] = FACTORS[token.type]  # one that nothing closes acts to the end
            open_places[token.type].append(place)
        elif kind and open_places[kind]:
            closings[place] = kind
            opening = open_places[kind].pop()
            factors[opening] = float(token.value[1:-1]) if token.type == "WEIGHT" else FACTORS[kind]
    return factors, closings


def _bounded(weight: float) -> float:
    return max(-HEAVIEST, min(HEAVIEST, weight))


def _append(sections: list[Section], token: Token, weight: float) -> None:
    """BREAK divides wherever it stands, inside brackets too, and takes the space around it along."""
    if token.type == "ESCAPE":
        return _extend(sections[-1], token.value[1:], weight)
    parts = BREAK.split(token.value)
    for number, part in enumerate(parts):
        if number > 0:
            sections.append([])
            part = part.lstrip()
        _extend(sections[-1], part.rstrip() if number + 1 < len(parts) else part, weight)
    return None


def _extend(section: Section, text: str, weight: float) -> None:
    if section and section[-1][1] == weight:
        section[-1] = (section[-1][0] + text, weight)
    elif text:
        section.append((text, weight))


EDITING = "prompt editing [from:to:when]"
ALTERNATION = "alternating words [a|b]"
COMPOSITION = "composition with AND"
EXTRA_NETWORK = re.compile(r"<(lora|lyco|hypernet):[^<>]*>", re.IGNORECASE)
AND = re.compile(r"\bAND\b")
NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")


def unsupported_syntax(text: str, *, negative: bool = False) -> str | None:
    """The first construct that would be drawn wrongly, because it is not supported yet; None when there is none.

    AND and extra networks mean nothing in a negative prompt: there they are plain words.
    """
    found = list(_square_constructs(LEXER.lex(text)))
    if not negative:
        found += [(match.start(), f"extra network {match[0][:80]}") for match in EXTRA_NETWORK.finditer(text)]
        found += [(match.start(), COMPOSITION) for match in AND.finditer(text)]
    return min(found)[1] if found else None


@dataclass
class _Bracket:
    """An open bracket: where it stands, and what has been seen directly inside it."""

    kind: str
    place: int
    alternates: bool = False
    colons: int = 0
    after_colon: list[str] = field(default_factory=list)

    def see(self, token: Token) -> None:
        self.alternates |= token.type == "BAR"
        self.colons += token.type == "COLON"
        if token.type == "COLON":
            self.after_colon.clear()
        else:
            self.after_colon.append(token.value)

    def construct(self) -> str | None:
        if self.alternates:
            return ALTERNATION
        return EDITING if self.colons and NUMBER.fullmatch("".join(self.after_colon)) else None


def _square_constructs(tokens: Iterable[Token]) -> Iterator[tuple[int, str]]:
    """Editing and alternation with the places of their brackets. Here brackets nest: this part of the language is a tree."""
    open_brackets: list[_Bracket] = []
    for token in tokens:
        if token.type in FACTORS:
            open_brackets.append(_Bracket(token.type, token.start_pos or 0))
        elif OPENINGS.get(token.type) and open_brackets and open_brackets[-1].kind == OPENINGS[token.type]:
            closed = open_brackets.pop()
            if closed.kind == "SQUARE" and (construct := closed.construct()):
                yield closed.place, construct
            if open_brackets:
                open_brackets[-1].after_colon.append("()")  # something stood there, and it was no number
        elif open_brackets:
            open_brackets[-1].see(token)
