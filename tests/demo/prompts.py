"""The fixed list of 64 prompts that the demo checkpoint is judged by: every shape in every colour, twice."""

from __future__ import annotations

from tests.support.judge import COLOURS, SHAPES

WORDINGS = (
    "a {colour} {shape} on a {background} background",
    "a {colour} {shape} on a {background} background",
    "{background} background with a {colour} {shape}",
    "a picture of a {colour} {shape}, {background} background",
)


def _prompts() -> list[tuple[str, tuple[str, str, str]]]:
    names = list(COLOURS)
    listed = []
    for i in range(64):
        shape = SHAPES[i % 4]
        colour = names[i // 4 % 8]
        background = names[(i // 4 + 1 + i % 7) % 8]
        words = WORDINGS[(i // 4 + i) % 4]
        listed.append(
            (words.format(colour=colour, shape=shape, background=background), (shape, colour, background))
        )
    return listed


PROMPTS = _prompts()
