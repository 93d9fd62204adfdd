"""Captions of a scene, with labels of the attributes (color, shape, background) that each caption specifies."""

from __future__ import annotations

import random

from demo.data.shapes import COLOR_NAMES, SHAPES

FULL = (
    "a {c} {s} on a {b} background",
    "a {c} {s} on a {b} background",
    "a {c} {s} on a {b} background",
    "{c} {s} on {b} background",
    "a {c} {s} on {b}",
    "a {c} {s} in front of a {b} background",
    "a picture of a {c} {s} on a {b} background",
    "a photo of a {c} {s} with a {b} background",
    "a drawing of a {c} {s}, {b} background",
    "{c} {s}, {b} background",
    "{b} background, {c} {s}",
    "{b} background with a {c} {s}",
    "a {b} background with a {c} {s} on it",
    "on a {b} background, a {c} {s}",
    "a {s} in {c}, the background is {b}",
    "the {s} is {c} and the background is {b}",
    "one big {c} {s} over {b}",
)
NO_BACKGROUND = ("a {c} {s}", "{c} {s}", "a big {c} {s}", "a picture of a {c} {s}")
NO_COLOR = ("a {s} on a {b} background", "{s}, {b} background")
NO_SHAPE = ("a {c} shape on a {b} background", "something {c} on {b}")
SINGLE = (("{s}", "s"), ("a {s}", "s"), ("{c}", "c"), ("{b} background", "b"), ("a {b} background", "b"))
FILLERS = (
    "best quality",
    "masterpiece",
    "high quality",
    "clean",
    "simple",
    "minimal",
    "flat design",
    "sharp edges",
    "4k",
    "vector art",
    "product photo",
    "studio",
)
UNSPECIFIED = -100  # torch's ignore_index


def describe(shape: int, color: int, background: int, rng: random.Random) -> tuple[str, tuple[int, int, int]]:
    """Return a random caption, and its (color, shape, background) labels: UNSPECIFIED for attributes it does not mention."""
    kind = rng.random()
    specified = "csb"
    if kind < 0.74:
        text = rng.choice(FULL)
    elif kind < 0.84:
        text, specified = rng.choice(NO_BACKGROUND), "cs"
    elif kind < 0.88:
        text, specified = rng.choice(NO_COLOR), "sb"
    elif kind < 0.92:
        text, specified = rng.choice(NO_SHAPE), "cb"
    else:
        text, specified = rng.choice(SINGLE)
    text = text.format(c=COLOR_NAMES[color], s=SHAPES[shape], b=COLOR_NAMES[background])
    if rng.random() < 0.2:
        extra = rng.sample(FILLERS, rng.randint(1, 3))
        parts = [*extra, text] if rng.random() < 0.3 else [text, *extra]
        text = ", ".join(parts)
    labels = tuple(
        value if key in specified else UNSPECIFIED
        for key, value in zip("csb", (color, shape, background), strict=True)
    )
    return text, labels  # type: ignore[return-value]
