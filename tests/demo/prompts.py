"""The 64 prompts that the demo checkpoint is evaluated with: every shape in every color, twice."""

from __future__ import annotations

from tests.support.judge import COLORS, SHAPES

TEMPLATES = (
    "a {color} {shape} on a {background} background",
    "a {color} {shape} on a {background} background",
    "{background} background with a {color} {shape}",
    "a picture of a {color} {shape}, {background} background",
)


def _prompts() -> list[tuple[str, tuple[str, str, str]]]:
    names = list(COLORS)
    prompts = []
    for i in range(64):
        shape = SHAPES[i % 4]
        color = names[i // 4 % 8]
        background = names[(i // 4 + 1 + i % 7) % 8]
        template = TEMPLATES[(i // 4 + i) % 4]
        prompts.append(
            (template.format(color=color, shape=shape, background=background), (shape, color, background))
        )
    return prompts


PROMPTS = _prompts()
