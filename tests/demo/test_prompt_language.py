"""Each construct of the prompt language has its effect on the image, measured on colors."""

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
MIN_DIFFERENCE = 5.0

Blueness = Callable[..., list[float]]


@pytest.fixture
def blueness(studio: Studio) -> Blueness:
    """Returns the difference of blue and red in the center of each image, where the circle is."""

    def measure(*prompts: str, **fields: Any) -> list[float]:
        settings = {"seed": 8, "width": 128, "height": 128, "num_inference_steps": 12, **fields}
        drawings = [studio.begin(prompt=prompt, **settings) for prompt in prompts]
        return [_middle(np.asarray(drawing.images()[0].convert("RGB"))) for drawing in drawings]

    return measure


def _middle(pixels: np.ndarray) -> float:
    red, _green, blue = pixels[48:80, 48:80].reshape(-1, 3).astype(float).mean(0)
    return float(blue - red)


def rises(values: Sequence[float]) -> bool:
    return all(other - one > MIN_DIFFERENCE for one, other in itertools.pairwise(values))


def test_later_prompt_editing_keeps_more_of_the_first_text(blueness: Blueness) -> None:
    edited = [f"a [red:blue:{when}] {CIRCLE}" for when in ("0.5", "3", "0.0")]
    assert rises(blueness(RED, *edited))


def test_alternation_and_composition_mix_both_texts(blueness: Blueness) -> None:
    red, blue, *mixed = blueness(
        RED,
        BLUE,
        f"a [red|blue] {CIRCLE}",
        f"{RED} AND {BLUE}",
        f"{RED} :0.5 AND {BLUE} :0.5",
    )
    assert all(rises([red, between, blue]) for between in mixed)


def test_the_weight_of_a_part_scales_its_effect(blueness: Blueness) -> None:
    assert rises(blueness(*(f"{RED} AND {BLUE} :{weight}" for weight in (0.3, 1.0))))


def test_emphasis_strengthens_its_text(blueness: Blueness) -> None:
    assert rises(blueness(f"a (red:2) blue {CIRCLE}", f"a red blue {CIRCLE}"))
    plain, ignored = blueness(f"a red blue {CIRCLE}", f"a (red:2) blue {CIRCLE}", emphasis="Ignore")
    assert plain == ignored


def test_both_sections_around_break_have_an_effect(blueness: Blueness) -> None:
    assert rises(blueness(RED, f"{RED} BREAK {BLUE}", BLUE))


def test_prompt_editing_works_in_the_negative_prompt(blueness: Blueness) -> None:
    plain, edited = (blueness(f"a {CIRCLE}", negative_prompt=negative)[0] for negative in ("", "[red::0.5]"))
    assert rises([plain, edited])


def test_clip_skip_changes_the_image(studio: Studio) -> None:
    """The demo model was trained with the last layer, so the image no longer follows the prompt."""
    usual, earlier = (
        studio.draw(prompt=RED, clip_skip=skip, seed=8, width=128, height=128, num_inference_steps=12)
        for skip in (1, 2)
    )
    assert ImageStat.Stat(ImageChops.difference(usual.convert("RGB"), earlier.convert("RGB"))).mean[1] > 20
