"""Parser of A1111's prompt editing ``[from:to:when]`` and alternation ``[a|b]``: the text at each model evaluation.

Corresponds to ``get_learned_conditioning_prompt_schedules`` of A1111's prompt_parser.py. Every text is a valid prompt;
nothing raises. Other brackets are kept for ``parse_attention``. "Call" means model evaluation. No torch.
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
MAX_DEPTH = 100  # of nested brackets; deeper ones are plain text


class Entry(NamedTuple):
    """``text`` is in effect up to and including call ``end``. Calls are counted from 0."""

    end: int
    text: str


Schedule = list[Entry]


def prompt_schedule(text: str, calls: int, *, first_pass: int | None = None) -> Schedule:
    """Return the schedule of a prompt: entries in ascending order of ``end``, the last with end ``calls``.

    ``calls`` is the nominal number of model evaluations of the pass (Sampler.nominal_calls). ``first_pass`` is given for a
    hires pass: the calls of the first pass. There, fractions run from 1 to 2, and whole numbers continue after the first
    pass.
    """
    timing = EditTiming(calls, first_pass)
    root = _parse(text)
    if root is None:
        return [Entry(calls, text)]
    ends = sorted({calls, *(end for node in root for end in _ends(node, timing))})
    return [Entry(end, _text_of(root, end, timing)) for end in ends]


def text_at(schedule: Schedule, call: int) -> str:
    """Return the text in effect at ``call``; the last text for calls beyond the schedule."""
    return schedule[min(bisect_left(schedule, call, key=lambda entry: entry.end), len(schedule) - 1)].text


@dataclass(frozen=True)
class EditTiming:
    """Converts the ``when`` of prompt editing to a call number."""

    calls: int
    first_pass: int | None

    def call_of(self, when: str) -> int:
        """Return the call for ``when``: a fraction of all calls if it has a decimal point, else a call number."""
        if "." in when:
            call = (float(when) - (0 if self.first_pass is None else 1)) * self.calls
        else:
            call = float(when) - (self.first_pass or 0)
        return int(max(-1.0, min(float(self.calls), call)))


# Syntax tree


@dataclass(frozen=True)
class Edit:
    """``[before:after:when]``: ``after`` replaces ``before`` after the call of ``when``."""

    before: Nodes
    after: Nodes
    when: str

    def ends(self, timing: EditTiming) -> Iterable[int]:
        call = timing.call_of(self.when)
        return [call] if call >= 1 else []

    def chosen(self, call: int, timing: EditTiming) -> Nodes:
        return self.before if call <= timing.call_of(self.when) else self.after

    @property
    def parts(self) -> tuple[Nodes, ...]:
        return self.before, self.after


@dataclass(frozen=True)
class Alternation:
    """``[a|b|...]``: the parts alternate with every call."""

    parts: tuple[Nodes, ...]

    def ends(self, timing: EditTiming) -> Iterable[int]:
        return range(1, timing.calls + 1)

    def chosen(self, call: int, timing: EditTiming) -> Nodes:
        return self.parts[(call - 1) % len(self.parts)]


Node = str | Edit | Alternation
Nodes = tuple[Node, ...]


def _ends(node: Node, timing: EditTiming) -> Iterator[int]:
    if not isinstance(node, str):
        yield from node.ends(timing)
        for part in node.parts:
            for child in part:
                yield from _ends(child, timing)


def _text_of(nodes: Nodes, call: int, timing: EditTiming) -> str:
    return "".join(
        node if isinstance(node, str) else _text_of(node.chosen(call, timing), call, timing) for node in nodes
    )


# Parser: a stack of open brackets, because prompts may contain unmatched brackets.


@dataclass
class _Bracket:
    """An open bracket and its content so far: nodes, separated by colons or bars."""

    opening: str
    parts: list[list[Node]] = field(default_factory=lambda: [[]])
    separators: list[str] = field(default_factory=list)

    def separate(self, mark: str) -> None:
        self.separators.append(mark)
        self.parts.append([])

    def closed(self) -> list[Node] | None:
        """Return the nodes of the closed bracket, or None if it is not a valid construct."""
        if not self.separators or (self.opening == "(" and self.separators == [":"]):
            return [*self.as_written(), CLOSINGS[self.opening]]
        if self.opening == "(":
            return None
        if set(self.separators) == {"|"}:
            return [Alternation(tuple(tuple(part) for part in self.parts))]
        return self._edit()

    def _edit(self) -> list[Node] | None:
        when = _number(self.parts[-1])
        if when is None or set(self.separators) != {":"} or len(self.separators) > 2:
            return None
        before = self.parts[0] if len(self.separators) == 2 else []
        return [Edit(tuple(before), tuple(self.parts[-2]), when)]

    def as_written(self) -> list[Node]:
        nodes: list[Node] = [self.opening, *self.parts[0]]
        for separator, part in zip(self.separators, self.parts[1:], strict=True):
            nodes += [separator, *part]
        return nodes


class _ScheduleParser:
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
            self.innermost.separate(str(token))

    def _close(self, closing: str) -> None:
        matches = bool(self.open) and CLOSINGS[self.open[-1].opening] == closing
        closed = self.open[-1].closed() if matches else None
        if closed is None or len(self.open) > MAX_DEPTH:
            self.flatten_open_brackets()
            self.root.parts[-1].append(closing)
        else:
            self.open.pop()
            self.innermost.parts[-1] += closed

    def flatten_open_brackets(self) -> None:
        """Treat all open brackets as plain text: an unmatched bracket cannot be part of a construct."""
        for bracket in self.open:
            if "|" in bracket.separators:
                self.root.separate("|")
            self.root.parts[-1] += bracket.as_written()
        self.open.clear()


@lru_cache(maxsize=64)
def _parse(text: str) -> Nodes | None:
    """Return the nodes, or None where A1111's parser fails on the whole text and uses it unchanged."""
    parser = _ScheduleParser()
    for token in LEXER.lex(text):
        parser.read(token)
    parser.flatten_open_brackets()
    return None if parser.root.separators else tuple(parser.root.parts[0])


def _number(part: list[Node]) -> str | None:
    text = "".join(node if isinstance(node, str) else "?" for node in part).strip()
    try:
        tokens = list(WHEN.lex(text))
    except LarkError:
        return None
    return str(tokens[0]) if len(tokens) == 1 else None
