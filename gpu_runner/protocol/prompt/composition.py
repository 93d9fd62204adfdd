"""Prompts of one pass: sub-prompts joined by AND (composable diffusion), each with a weight and a schedule. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .extra_networks import extra_networks
from .schedule import Schedule, prompt_schedule, text_at

WeightedTexts = tuple[tuple[str, float], ...]
PromptTexts = tuple[WeightedTexts, str]  # at one model evaluation: weighted positive texts, negative text
AND = re.compile(r"\bAND\b")
WEIGHT = re.compile(r"\s*([-+]?(?:\d+\.?|\d*\.\d+))\s*")
MAX_WEIGHT = 1000.0
MAX_PARTS = 16  # each is a row of every UNet call
MAX_CHARACTERS = 100_000  # over all texts of a pass, which are encoded before the first step


class PromptTooLong(ValueError):
    """A prompt has too many parts or scheduled texts. The message is safe to show to clients."""


@dataclass(frozen=True)
class PromptComposition:
    """Schedules of the positive sub-prompts, with their weights, and of the negative prompt."""

    positives: tuple[tuple[Schedule, float], ...]
    negative: Schedule

    @classmethod
    def of(
        cls, prompt: str, negative: str, calls: int, *, first_pass: int | None = None
    ) -> PromptComposition:
        """Parse the prompts of a pass. ``calls`` and ``first_pass`` are those of ``prompt_schedule``.

        AND and ``<lora:...>`` have no meaning in the negative prompt. Raises PromptTooLong.
        """
        parts = parse_composition(extra_networks(prompt)[0])
        if len(parts) > MAX_PARTS:
            raise PromptTooLong(
                f"prompt must have at most {MAX_PARTS} parts joined by AND (got {len(parts)} parts)"
            )
        positives = tuple(
            (prompt_schedule(text, calls, first_pass=first_pass), weight) for text, weight in parts
        )
        prompts = cls(positives, prompt_schedule(negative, calls, first_pass=first_pass))
        length = sum(map(len, prompts.texts))
        if length > MAX_CHARACTERS:
            raise PromptTooLong(
                f"the texts of all steps of the prompts must have at most {MAX_CHARACTERS} characters (got {length}):"
                " use a shorter prompt or fewer changes between steps"
            )
        return prompts

    @property
    def texts(self) -> tuple[str, ...]:
        """Distinct texts of the pass, all of which must be encoded."""
        schedules = [*(schedule for schedule, _weight in self.positives), self.negative]
        return tuple(dict.fromkeys(entry.text for schedule in schedules for entry in schedule))

    def at(self, call: int) -> PromptTexts:
        """Return the texts in effect at model evaluation ``call``, counted from 0."""
        positives = tuple((text_at(schedule, call), weight) for schedule, weight in self.positives)
        return positives, text_at(self.negative, call)


def parse_composition(text: str) -> list[tuple[str, float]]:
    """Split a prompt at AND. Returns (text, weight) per part; the weight follows the last colon, and is 1 by default.

    Corresponds to ``get_multicond_prompt_list`` of A1111's prompt_parser.py.
    """
    return list(_parts(text))


def _parts(text: str) -> Iterator[tuple[str, float]]:
    for part in AND.split(text):
        body, colon, last = part.rpartition(":")
        weight = WEIGHT.fullmatch(last) if colon else None
        yield (body, _clamp(float(weight[1]))) if weight else (part, 1.0)


def _clamp(weight: float) -> float:
    return max(-MAX_WEIGHT, min(MAX_WEIGHT, weight))
