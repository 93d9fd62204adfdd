"""Images of the demo's flow-matching checkpoint match their prompts, measured on their pixels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from gpu_runner.protocol.request_parts.passes import LoraUse
from tests.demo.prompts import PROMPTS
from tests.support.demo_engine import DEMO_MODELS, Studio, demo_file
from tests.support.judge import COLORS, judge

pytestmark = [pytest.mark.demo, pytest.mark.slow]

FLOW_CHECKPOINT = "checkpoints/atelier-flow.safetensors"
FLOW = {"sampler": "Euler", "scheduler": "Simple", "num_inference_steps": 20, "guidance_scale": 6.0}
CIRCLE = "a red circle on a blue background"
MIN_CORRECT = 29  # of 32


@pytest.fixture(scope="module")
def flow() -> Iterator[Studio]:
    studio = Studio(DEMO_MODELS, demo_file(FLOW_CHECKPOINT))
    yield studio
    studio.close()


def seen(image: Image.Image) -> tuple[str, str, str]:
    verdict = judge(image)
    return verdict.shape, verdict.color, verdict.background


def brightness(image: Image.Image) -> float:
    return float(np.asarray(image.convert("L")).mean())


def test_the_checkpoint_is_small() -> None:
    assert (DEMO_MODELS / FLOW_CHECKPOINT).stat().st_size < 12_000_000


def test_32_prompts_give_their_shapes_and_colors(flow: Studio) -> None:
    drawings = [
        flow.begin(prompt=prompt, seed=1000 + i, **FLOW) for i, (prompt, _) in enumerate(PROMPTS[:32])
    ]
    shown = [seen(drawing.images()[0]) for drawing in drawings]
    assert sum(one == wanted for one, (_, wanted) in zip(shown, PROMPTS, strict=False)) >= MIN_CORRECT


@pytest.mark.parametrize("sampler", ["Euler", "Heun", "DPM++ 2M", "Euler a"])
def test_every_kind_of_sampler_follows_the_prompt(flow: Studio, sampler: str) -> None:
    assert seen(flow.draw(prompt=CIRCLE, seed=8, **FLOW | {"sampler": sampler})) == ("circle", "red", "blue")


def test_img2img_keeps_its_input_at_low_strength_and_follows_the_prompt_at_high(flow: Studio) -> None:
    source = Image.new("RGB", (256, 256), COLORS["yellow"])
    source.paste(COLORS["green"], (70, 70, 190, 190))
    weak, strong = (
        flow.draw(source, prompt=CIRCLE, strength=share, seed=4, **FLOW) for share in (0.15, 0.97)
    )
    assert seen(weak) == ("square", "green", "yellow")
    assert seen(strong) == ("circle", "red", "blue")


def test_the_night_lora_darkens_in_proportion_to_its_weight(flow: Studio) -> None:
    drawings = [
        flow.begin(prompt=CIRCLE, seed=8, loras=(LoraUse(name="atelier-flow-night", unet=weight),), **FLOW)
        for weight in (0.0, 0.5, 1.0)
    ]
    off, half, full = (brightness(drawing.images()[0]) for drawing in drawings)
    assert off > half > full
    assert full < 0.7 * off
