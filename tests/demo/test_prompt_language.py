"""Each construct of the prompt language changes the picture in the way that it says, judged by colours."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import ImageChops, ImageStat

from tests.support.demo_engine import Studio

pytestmark = pytest.mark.demo

CIRCLE = "circle on a white background"
RED, BLUE = f"a red {CIRCLE}", f"a blue {CIRCLE}"
CLEARLY = 5.0

Blueness = Callable[..., list[float]]


@pytest.fixture
def blueness(studio: Studio) -> Blueness:
    """How much more blue than red the middle of each picture is, where the circle lies; all are drawn together."""

    def measure(*prompts: str, **fields: Any) -> list[float]:
        asked = {"seed": 8, "width": 128, "height": 128, "num_inference_steps": 12, **fields}
        drawings = [studio.begin(prompt=prompt, **asked) for prompt in prompts]
        return [_middle(np.asarray(drawing.pictures()[0].convert("RGB"))) for drawing in drawings]

    return measure


def _middle(pixels: np.ndarray) -> float:
    red, _green, blue = pixels[48:80, 48:80].reshape(-1, 3).astype(float).mean(0)
    return float(blue - red)


def rises(values: Sequence[float]) -> bool:
    return all(other - one > CLEARLY for one, other in itertools.pairwise(values))


def test_editing_lies_between_and_the_later_the_nearer_to_what_was_first(blueness: Blueness) -> None:
    edited = [f"a [red:blue:{when}] {CIRCLE}" for when in ("0.5", "3", "0.0")]
    assert rises(blueness(RED, *edited))


def test_alternation_and_composition_lie_between(blueness: Blueness) -> None:
    red, blue, *mixed = blueness(
        RED,
        BLUE,
        f"a [red|blue] {CIRCLE}",
        f"{RED} AND {BLUE}",
        f"{RED} :0.5 AND {BLUE} :0.5",
    )
    assert all(rises([red, between, blue]) for between in mixed)


def test_a_part_of_a_composition_acts_as_its_weight_says(blueness: Blueness) -> None:
    assert rises(blueness(*(f"{RED} AND {BLUE} :{weight}" for weight in (0.3, 1.0))))


def test_emphasis_strengthens_its_word(blueness: Blueness) -> None:
    assert rises(blueness(f"a (red:2) blue {CIRCLE}", f"a red blue {CIRCLE}"))
    plain, ignored = blueness(f"a red blue {CIRCLE}", f"a (red:2) blue {CIRCLE}", emphasis="Ignore")
    assert plain == ignored


def test_both_sides_of_a_break_are_seen(blueness: Blueness) -> None:
    assert rises(blueness(RED, f"{RED} BREAK {BLUE}", BLUE))


def test_a_negative_prompt_can_be_edited_too(blueness: Blueness) -> None:
    plain, begun = (blueness(f"a {CIRCLE}", negative_prompt=negative)[0] for negative in ("", "[red::0.5]"))
    assert rises([plain, begun])


def test_clip_skip_tells_the_unet_something_else(studio: Studio) -> None:
    """The demo model was trained with the last layer, so the words lose their meaning."""
    usual, earlier = (
        studio.draw(prompt=RED, clip_skip=skip, seed=8, width=128, height=128, num_inference_steps=12)
        for skip in (1, 2)
    )
    assert ImageStat.Stat(ImageChops.difference(usual.convert("RGB"), earlier.convert("RGB"))).mean[1] > 20
