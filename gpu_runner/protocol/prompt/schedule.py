"""A1111's prompt editing ``[from:to:when]`` and alternation ``[a|b]``: which text holds at which call of the model.

Every text is a prompt; nothing here can fail. Brackets that make no construct are left for prompt.parse_attention. No torch.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from lark import Lark, LarkError, Token

LEXER = Lark(
    r"""
    start: (PLAIN | OPEN | CLOSE | COLON | BAR)*
    PLAIN: /([^\\()\[\]:|]|\\[\s\S]|\\$)+/
    OPEN: "(" | "["
    CLOSE: ")" | "]"
    COLON: ":"
    BAR: "|"
    """,
    parser="lalr",
    lexer="basic",
)
WHEN = Lark(
    r"""
    start: NUMBER
    %import common.SIGNED_NUMBER -> NUMBER
    """,
    parser="lalr",
    lexer="basic",
)
CLOSINGS = {"(": ")", "[": "]"}
DEEPEST = 100  # brackets within brackets; what lies deeper is taken as it is written


class Entry(NamedTuple):
    """``text`` holds up to the call ``end``, and at that call too. Calls are counted from 0."""

    end: int
    text: str


Schedule = list[Entry]


def prompt_schedule(text: str, calls: int, *, first_pass: int | None = None) -> Schedule:
    """``calls`` is how often the pass asks the model, by its nominal steps: twice a step for samplers of second order.

    ``first_pass`` is given for a second pass: the calls of the first. Fractions then count from 1 to 2, and whole numbers
    go on where the first pass ended.
    """
    clock = Clock(calls, first_pass)
    root = _parse(text)
    if root is None:
        return [Entry(calls, text)]
    ends = sorted({calls, *(end for node in root for end in _ends(node, clock))})
    return [Entry(end, _text_of(root, end, clock)) for end in ends]


def text_at(schedule: Schedule, call: int) -> str:
    """The first entry that has not ended; the last one for samplers that ask more often than their steps say."""
    return schedule[min(bisect_left(schedule, call, key=lambda entry: entry.end), len(schedule) - 1)].text


@dataclass(frozen=True)
class Clock:
    calls: int
    first_pass: int | None

    def call_of(self, when: str) -> int:
        """A decimal point makes a share of the calls; without one it is a call's number."""
        if "." in when:
            call = (float(when) - (0 if self.first_pass is None else 1)) * self.calls
        else:
            call = float(when) - (self.first_pass or 0)
        return int(max(-1.0, min(float(self.calls), call)))


# What a text is made of.


@dataclass(frozen=True)
class Edit:
    before: Nodes
    after: Nodes
    when: str

    def ends(self, clock: Clock) -> Iterable[int]:
        call = clock.call_of(self.when)
        return [call] if call >= 1 else []

    def chosen(self, call: int, clock: Clock) -> Nodes:
        return self.before if call <= clock.call_of(self.when) else self.after

    @property
    def parts(self) -> tuple[Nodes, ...]:
        return self.before, self.after


@dataclass(frozen=True)
class Alternation:
    parts: tuple[Nodes, ...]

    def ends(self, clock: Clock) -> Iterable[int]:
        return range(1, clock.calls + 1)

    def chosen(self, call: int, clock: Clock) -> Nodes:
        return self.parts[(call - 1) % len(self.parts)]


Node = str | Edit | Alternation
Nodes = tuple[Node, ...]


def _ends(node: Node, clock: Clock) -> Iterator[int]:
    if not isinstance(node, str):
        yield from node.ends(clock)
        for part in node.parts:
            for child in part:
                yield from _ends(child, clock)


def _text_of(nodes: Nodes, call: int, clock: Clock) -> str:
    return "".join(
        node if isinstance(node, str) else _text_of(node.chosen(call, clock), call, clock) for node in nodes
    )


# How it is read: a stack of open brackets, because texts may hold brackets that belong to nothing.


@dataclass
class _Bracket:
    """An open bracket, and what has been seen in it: nodes, divided by colons or bars."""

    opening: str
    parts: list[list[Node]] = field(default_factory=lambda: [[]])
    dividers: list[str] = field(default_factory=list)

    def divide(self, mark: str) -> None:
        self.dividers.append(mark)
        self.parts.append([])

    def closed(self) -> list[Node] | None:
        """What it is, now that its end is seen. None: no bracket of the language."""
        if not self.dividers or (self.opening == "(" and self.dividers == [":"]):
            return [*self.as_written(), CLOSINGS[self.opening]]
        if self.opening == "(":
            return None
        if set(self.dividers) == {"|"}:
            return [Alternation(tuple(tuple(part) for part in self.parts))]
        return self._edit()

    def _edit(self) -> list[Node] | None:
        when = _number(self.parts[-1])
        if when is None or set(self.dividers) != {":"} or len(self.dividers) > 2:
            return None
        before = self.parts[0] if len(self.dividers) == 2 else []
        return [Edit(tuple(before), tuple(self.parts[-2]), when)]

    def as_written(self) -> list[Node]:
        nodes: list[Node] = [self.opening, *self.parts[0]]
        for divider, part in zip(self.dividers, self.parts[1:], strict=True):
            nodes += [divider, *part]
        return nodes


class _Reader:
    def __init__(self) -> None:
        self.root = _Bracket("")
        self.open: list[_Bracket] = []

    @property
    def innermost(self) -> _Bracket:
        return self.open[-1] if self.open else self.root

    def read(self, token: Token) -> None:
        if token.type == "OPEN":
            self.open.append(_Bracket(str(token)))
        elif token.type == "CLOSE":
            self._close(str(token))
        elif token.type == "PLAIN" or (token.type == "COLON" and not self.open):
            self.innermost.parts[-1].append(str(token))
        else:
            self.innermost.divide(str(token))

    def _close(self, closing: str) -> None:
        matches = bool(self.open) and CLOSINGS[self.open[-1].opening] == closing
        closed = self.open[-1].closed() if matches else None
        if closed is None or len(self.open) > DEEPEST:
            self.give_up_what_is_open()
            self.root.parts[-1].append(closing)
        else:
            self.open.pop()
            self.innermost.parts[-1] += closed

    def give_up_what_is_open(self) -> None:
        """A bracket that belongs to nothing can stand in no construct, so all around it are plain characters too."""
        for bracket in self.open:
            if "|" in bracket.dividers:
                self.root.divide("|")
            self.root.parts[-1] += bracket.as_written()
        self.open.clear()


@lru_cache(maxsize=64)
def _parse(text: str) -> Nodes | None:
    """None where A1111 cannot read the text at all: it then leaves it as it is, whatever else it holds."""
    reader = _Reader()
    for token in LEXER.lex(text):
        reader.read(token)
    reader.give_up_what_is_open()
    return None if reader.root.dividers else tuple(reader.root.parts[0])


def _number(part: list[Node]) -> str | None:
    text = "".join(node if isinstance(node, str) else "?" for node in part).strip()
    try:
        tokens = list(WHEN.lex(text))
    except LarkError:
        return None
    return str(tokens[0]) if len(tokens) == 1 else None
