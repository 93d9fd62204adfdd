"""Detail passes with the demo checkpoint: the regions, and nothing else, follow their prompts."""

import numpy as np
import pytest

from gpu_runner.protocol.request_parts.details import DetailPass, RegionPrompt
from tests.support.face_files import FACE, photograph, two_of_her

pytestmark = pytest.mark.demo

RED = "a red square on a red background"
BLUE = "a blue square on a blue background"
SIZE = {"width": 128, "height": 128, "num_inference_steps": 12, "seed": 3}


def detailed(studio, image, *prompts, **fields):
    regions = tuple(RegionPrompt(prompt=prompt) for prompt in prompts)
    part = DetailPass(detector="yunet_n_640_640", regions=regions, strength=1.0, padding=0, **fields)
    after = studio.draw(image, prompt="a green circle", detail_passes=(part,), details_only=True, **SIZE)
    return np.asarray(after).astype(int)


def face(pixels, shift=0):
    """Mean color inside of the face."""
    left, top, right, bottom = FACE
    return pixels[top + 30 : bottom - 30, left + 25 + shift : right - 25 + shift].mean(axis=(0, 1))


def is_mostly(color, channel):
    others = [color[other] for other in range(3) if other != channel]
    return color[channel] > max(others) + 40


def test_the_face_takes_the_color_of_its_prompt(studio):
    for prompt, channel in ((RED, 0), (BLUE, 2)):
        after = detailed(studio, photograph(), prompt)
        assert is_mostly(face(after), channel)
        changed = (after != np.asarray(photograph())).any(axis=2)
        left, top, right, bottom = FACE
        changed[top - 20 : bottom + 20, left - 20 : right + 20] = False
        assert not changed.any()


def test_two_faces_take_the_colors_of_their_prompts(studio):
    after = detailed(studio, two_of_her(), RED, BLUE)
    assert sorted([is_mostly(face(after), 0), is_mostly(face(after, 320), 0)]) == [False, True]
    assert sorted([is_mostly(face(after), 2), is_mostly(face(after, 320), 2)]) == [False, True]
