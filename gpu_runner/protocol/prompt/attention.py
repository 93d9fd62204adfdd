"""Parser of A1111's prompt attention: ``(text:1.2)``, ``(text)``, ``[text]``, escapes and BREAK.

Corresponds to ``parse_prompt_attention`` of A1111's prompt_parser.py. Every text is a valid prompt; nothing raises. Round
and square brackets may overlap, as in ``(a [b) c]``, so tokens do not form a tree: each kind of bracket has its own stack.
No torch: admission parses prompts too.
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
MAX_WEIGHT = 1000.0  # absolute value; prevents overflow by deep nesting
BREAK = re.compile(r"\bBREAK\b")

WeightedText = tuple[str, float]
Section = list[WeightedText]


def parse_attention(text: str) -> list[Section]:
    """Split a prompt into sections at BREAK. A section is a list of (text, weight); neighbors of equal weight are merged.

    ``(text)`` multiplies the weight by 1.1, ``[text]`` divides it by 1.1, ``(text:w)`` multiplies it by w.
    """
    tokens = list(LEXER.lex(text))
    factors, closings = _match_brackets(tokens)
    scopes = {kind: [1.0] for kind in FACTORS}
    sections: list[Section] = [[]]
    for index, token in enumerate(tokens):
        if index in factors:
            scopes[token.type].append(_clamp(scopes[token.type][-1] * factors[index]))
        elif index in closings:
            scopes[closings[index]].pop()
        else:
            _append(sections, token, _clamp(scopes["ROUND"][-1] * scopes["SQUARE"][-1]))
    return sections


def _match_brackets(tokens: list[Token]) -> tuple[dict[int, float], dict[int, str]]:
    """Return, by token index, the factor of each opening bracket and the kind of each matched closing bracket."""
    factors: dict[int, float] = {}
    closings: dict[int, str] = {}
    open_indices: dict[str, list[int]] = {kind: [] for kind in FACTORS}
    for index, token in enumerate(tokens):
        kind = OPENINGS.get(token.type)
        if token.type in FACTORS:
            factors[index] = FACTORS[token.type]  # an unclosed bracket acts to the end of the prompt
            open_indices[token.type].append(index)
        elif kind and open_indices[kind]:
            closings[index] = kind
            opening = open_indices[kind].pop()
            factors[opening] = float(token.value[1:-1]) if token.type == "WEIGHT" else FACTORS[kind]
    return factors, closings


def _clamp(weight: float) -> float:
    return max(-MAX_WEIGHT, min(MAX_WEIGHT, weight))


def _append(sections: list[Section], token: Token, weight: float) -> None:
    """Append the token's text. BREAK starts a section, inside brackets too, and removes the whitespace around it."""
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
