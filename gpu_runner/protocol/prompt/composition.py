"""What the prompts of one pass say, call by call: sub-prompts divided by AND, each with its weight and its schedule. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gpu_runner.protocol import sampler_catalog
from gpu_runner.protocol.generation_request import GenerationRequest

from .extra_networks import extra_networks
from .schedule import Schedule, prompt_schedule, text_at

Weighted = tuple[tuple[str, float], ...]
Said = tuple[Weighted, str]  # at one call; the negative prompt last
AND = re.compile(r"\bAND\b")
WEIGHT = re.compile(r"\s*([-+]?(?:\d+\.?|\d*\.\d+))\s*")
HEAVIEST = 1000.0
MOST_PARTS = 16  # each is a row of every call
MOST_CHARACTERS = 100_000  # over all texts of a pass: all are encoded before it begins


class TooManyWords(ValueError):
    """The message is fit for the client's eyes."""


@dataclass(frozen=True)
class PromptComposition:
    positives: tuple[tuple[Schedule, float], ...]
    negative: Schedule

    @classmethod
    def of(
        cls, prompt: str, negative: str, calls: int, *, first_pass: int | None = None
    ) -> PromptComposition:
        """``calls`` and ``first_pass`` as prompt_schedule has them. AND and tags mean nothing in a negative prompt."""
        parts = composition(extra_networks(prompt)[0])
        if len(parts) > MOST_PARTS:
            raise TooManyWords(f"the prompt has {len(parts)} parts divided by AND; {MOST_PARTS} is the most")
        positives = tuple(
            (prompt_schedule(text, calls, first_pass=first_pass), weight) for text, weight in parts
        )
        words = cls(positives, prompt_schedule(negative, calls, first_pass=first_pass))
        if sum(map(len, words.texts)) > MOST_CHARACTERS:
            raise TooManyWords("the prompt is too long to change so often")
        return words

    @classmethod
    def of_request(cls, request: GenerationRequest) -> PromptComposition:
        """The first pass."""
        calls = sampler_catalog.sampler(request.sampler).nominal_calls(request.num_inference_steps)
        return cls.of(request.prompt, request.negative_prompt, calls)

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text of the pass, once."""
        schedules = [*(schedule for schedule, _weight in self.positives), self.negative]
        return tuple(dict.fromkeys(entry.text for schedule in schedules for entry in schedule))

    def at(self, call: int) -> Said:
        positives = tuple((text_at(schedule, call), weight) for schedule, weight in self.positives)
        return positives, text_at(self.negative, call)


def composition(text: str) -> list[tuple[str, float]]:
    """The parts between ANDs, and the weight after the last colon of each: 1 where there is none."""
    return list(_parts(text))


def _parts(text: str) -> Iterator[tuple[str, float]]:
    for part in AND.split(text):
        words, colon, last = part.rpartition(":")
        weight = WEIGHT.fullmatch(last) if colon else None
        yield (words, _bounded(float(weight[1]))) if weight else (part, 1.0)


def _bounded(weight: float) -> float:
    return max(-HEAVIEST, min(HEAVIEST, weight))
