"""The demo checkpoint draws what it is asked for, judged by pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageStat

from tests.demo.prompts import PROMPTS
from tests.support.demo_engine import DEMO_CHECKPOINT, DEMO_MODELS, Drawing, Studio
from tests.support.judge import COLOURS, judge

pytestmark = pytest.mark.demo

CIRCLE = "a red circle on a blue background"

# The aims, 95 % and 7 of 8. The shipped training reaches 64 of 64, and all 8: docs/decisions/0003-demo-model.md
SHAPES_RIGHT = 61
LARGE_SHAPES_RIGHT = 7


def green_square_on_yellow() -> Image.Image:
    picture = Image.new("RGB", (256, 256), COLOURS["yellow"])
    picture.paste(COLOURS["green"], (70, 70, 190, 190))
    return picture


def shows(picture: Image.Image, wanted: tuple[str, str, str]) -> bool:
    verdict = judge(picture)
    return (verdict.shape, verdict.colour, verdict.background) == wanted


def largest_difference(one: Image.Image, other: Image.Image) -> int:
    return max(
        high for _low, high in ImageChops.difference(one.convert("RGB"), other.convert("RGB")).getextrema()
    )


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    return sum(ImageStat.Stat(ImageChops.difference(one, other.convert("RGB"))).mean) / 3


def test_the_checkpoint_is_small() -> None:
    assert (DEMO_MODELS / DEMO_CHECKPOINT).stat().st_size < 16_000_000


def test_it_draws_the_64_prompts(studio: Studio) -> None:
    drawings: list[Drawing] = [
        studio.begin(prompt=prompt, seed=1000 + i) for i, (prompt, _wanted) in enumerate(PROMPTS)
    ]
    verdicts = [judge(drawing.pictures()[0]) for drawing in drawings]
    wanted = [wanted for _prompt, wanted in PROMPTS]
    assert [(v.colour, v.background) for v in verdicts] == [(colour, ground) for _, colour, ground in wanted]
    assert sum(v.shape == shape for v, (shape, _, _) in zip(verdicts, wanted, strict=True)) >= SHAPES_RIGHT


def test_it_draws_at_512(studio: Studio) -> None:
    asked = PROMPTS[:8]
    drawings = [studio.begin(prompt=prompt, seed=5, width=512, height=512) for prompt, _wanted in asked]
    verdicts = [judge(drawing.pictures()[0]) for drawing in drawings]
    assert [(v.colour, v.background) for v in verdicts] == [
        (colour, ground) for _, (_, colour, ground) in asked
    ]
    assert (
        sum(v.shape == shape for v, (_, (shape, _, _)) in zip(verdicts, asked, strict=True))
        >= LARGE_SHAPES_RIGHT
    )


@pytest.mark.parametrize(
    "sampler", ["Euler", "Euler a", "DPM++ 2M", "DPM++ 3M SDE", "DDIM", "DDIM CFG++", "UniPC"]
)
def test_every_sampler_draws_what_is_asked(studio: Studio, sampler: str) -> None:
    assert shows(studio.draw(prompt=CIRCLE, sampler=sampler, seed=8), ("circle", "red", "blue"))


def test_the_same_seed_gives_the_same_picture_and_another_seed_another(studio: Studio) -> None:
    first, again, other = (studio.draw(prompt=CIRCLE, seed=seed) for seed in (8, 8, 9))
    assert first.tobytes() == again.tobytes()
    assert largest_difference(first, other) > 50


def test_seed_plus_i_is_the_ith_picture_of_a_batch(studio: Studio) -> None:
    batch = studio.begin(prompt=CIRCLE, seed=20, num_images=3, batch_size=3).pictures()
    assert largest_difference(batch[2], studio.draw(prompt=CIRCLE, seed=22)) <= 1


def test_the_negative_prompt_pushes_its_colour_away(studio: Studio) -> None:
    plain = [
        judge(studio.draw(prompt="a circle on a white background", seed=s)).colour for s in range(40, 46)
    ]
    usual = max(set(plain), key=plain.count)
    without = [
        judge(studio.draw(prompt="a circle on a white background", negative_prompt=usual, seed=s)).colour
        for s in range(40, 46)
    ]
    assert without.count(usual) < plain.count(usual)


def test_img2img_at_low_strength_keeps_its_input_and_at_high_strength_follows_the_prompt(
    studio: Studio,
) -> None:
    source = green_square_on_yellow()
    little, much = (studio.draw(source, prompt=CIRCLE, strength=strength, seed=4) for strength in (0.1, 0.95))
    kept = judge(little)
    assert (kept.shape, kept.background) == ("square", "yellow")
    assert shows(much, ("circle", "red", "blue"))
    assert mean_difference(source, little) < mean_difference(source, much) / 3


def test_guidance_strengthens_the_prompt(studio: Studio) -> None:
    """At scale 1 the picture is the conditional model's own; at 7 it is not the same picture."""
    weak, strong = (studio.draw(prompt=CIRCLE, guidance_scale=scale, seed=8) for scale in (1, 7))
    assert np.abs(np.asarray(weak, dtype=int) - np.asarray(strong, dtype=int)).mean() > 1


def test_a_variation_leads_step_by_step_from_one_seed_to_the_other(studio: Studio) -> None:
    small = {
        "prompt": CIRCLE,
        "seed": 8,
        "subseed": 9,
        "width": 128,
        "height": 128,
        "num_inference_steps": 12,
    }
    shares = (0.0, 0.3, 0.7, 1.0)
    drawings = [studio.begin(subseed_strength=share, **small) for share in shares]
    other = studio.begin(**{**small, "seed": 9})
    pictures = [drawing.pictures()[0] for drawing in drawings]
    away = [mean_difference(pictures[0], picture) for picture in pictures]
    assert away == sorted(away)
    assert away[0] == 0 < away[1]
    assert largest_difference(pictures[-1], other.pictures()[0]) <= 2
