"""The demo tagger names the shape and the colors of an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from demo.data.shapes import COLOR_NAMES, SHAPES, draw, random_scenes
from gpu_runner.protocol import Analysis
from tests.support import face_files
from tests.support.demo_engine import DEMO_MODELS, Studio

pytestmark = pytest.mark.demo

TAGGER = "atelier-tagger"


def tags(studio: Studio, image: Image.Image, threshold: float | None = None) -> set[str]:
    analysis = Analysis(find="tags", model=TAGGER, threshold=threshold)
    [found] = studio.begin(image, task="analyze", analysis=analysis).findings()
    return {tag.name for tag in found.tags}


def scenes(count: int) -> list[tuple[Image.Image, set[str]]]:
    """Images as the demo model draws them, and their tags."""
    drawn = random_scenes(count, torch.Generator().manual_seed(99))
    pixels = (draw(drawn, 256, 256) * 255).byte().permute(0, 2, 3, 1).numpy()
    return [
        (
            Image.fromarray(np.ascontiguousarray(image)),
            {SHAPES[shape], COLOR_NAMES[color], f"{COLOR_NAMES[background]}_background"},
        )
        for image, shape, color, background in zip(
            pixels, drawn.shape, drawn.color_index, drawn.background_index, strict=True
        )
    ]


def test_the_files_are_small() -> None:
    assert (DEMO_MODELS / "taggers" / f"{TAGGER}.onnx").stat().st_size < 1_000_000


def test_shape_color_and_background_are_named(studio: Studio) -> None:
    right = [tags(studio, image) == expected for image, expected in scenes(64)]
    assert sum(right) >= 61


def test_a_generated_image_has_the_tags_of_its_prompt(studio: Studio) -> None:
    image = studio.draw(prompt="a red circle on a blue background", seed=8)
    assert tags(studio, image) == {"red", "circle", "blue_background"}


def test_a_photograph_and_noise_have_no_tags(studio: Studio) -> None:
    assert tags(studio, face_files.photograph()) == set()
    assert tags(studio, Image.effect_noise((256, 256), 80).convert("RGB")) == set()


def test_a_threshold_of_0_gives_all_tags(studio: Studio) -> None:
    assert len(tags(studio, Image.new("RGB", (64, 64), "red"), 0.0)) == 20


def test_an_image_without_a_shape_has_a_background_only(studio: Studio) -> None:
    assert tags(studio, Image.new("RGB", (256, 256), (40, 70, 220))) == {"blue_background"}
