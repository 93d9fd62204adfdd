"""A1111's prompt language: attention, escapes and BREAK. Every text is a prompt; nothing here can fail.

Round and square brackets may overlap, as in ``(a [b) c]``, so what lark cuts into tokens is no tree: each kind of
bracket keeps its own stack. No torch here: admission looks at prompts too.
"""

from __future__ import annotations

import re

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
