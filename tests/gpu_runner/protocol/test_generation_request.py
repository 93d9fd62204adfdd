"""Validation of generation requests: messages name the field, what is allowed, and the value."""

import re

import pytest
from pydantic import ValidationError

from gpu_runner.protocol import GenerationRequest, Hires, Inpaint, InputImage, Upscale
from gpu_runner.protocol.request_parts.backgrounds import CutOut
from gpu_runner.protocol.request_parts.details import FaceRestoration
from gpu_runner.protocol.request_parts.outputs import Mark
from gpu_runner.protocol.request_parts.sampling import SigmaOverrides

IMAGE = InputImage(sha256="0" * 64)
IMG2IMG = {"task": "img2img", "init_images": (IMAGE,)}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "img2img"}, "init_images must have 1 image with task=img2img (got 0)"),
        (IMG2IMG | {"init_images": (IMAGE,) * 2, "num_images": 3}, "init_images must have 1 or num_images=3 images with task=img2img (got 2)"),
        ({"init_images": (IMAGE,)}, "init_images must be empty with task=txt2img (got 1)"),
        ({"inpaint": Inpaint(mask=IMAGE)}, "inpaint is not allowed with task=txt2img"),
        (IMG2IMG | {"hires": Hires(width=64, height=64)}, "hires is only allowed with task=txt2img (got task=img2img)"),
        ({"upscale": Upscale()}, "upscale is only allowed with task=upscale (got task=txt2img)"),
        (IMG2IMG | {"task": "cut_out"}, "cut_out is required with task=cut_out"),
        (IMG2IMG | {"task": "cut_out", "cut_out": CutOut(), "output_format": "jpeg"}, "output_format must be png or webp with cut_out"),
        (IMG2IMG | {"task": "cut_out", "cut_out": CutOut(), "face_restoration": FaceRestoration()}, "face_restoration is not allowed with task=cut_out"),
        ({"cut_out": CutOut(with_mask=True)}, "cut_out.mask_only and with_mask are only allowed with task=cut_out (got txt2img)"),
        ({"cut_out": CutOut(), "output_format": "jpeg"}, "output_format must be png or webp with cut_out"),
        (IMG2IMG | {"task": "control_map", "cut_out": CutOut()}, "cut_out is only allowed with task=cut_out (got task=control_map)"),
        (IMG2IMG | {"task": "control_map"}, "controls must have 1 unit with task=control_map (got 0)"),
        ({"marks": (Mark(key="a", text="b"),), "output_format": "webp"}, "marks are only allowed with output_format=png (got webp)"),
    ],
)  # fmt: skip
def test_a_field_that_does_not_match_the_task_is_named(fields, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        GenerationRequest(**fields)


def test_sigma_max_must_exceed_sigma_min():
    with pytest.raises(ValidationError, match=r"sigma_max must be 0 or greater than 3.*\(got 2\)"):
        SigmaOverrides(sigma_min=3, sigma_max=2)
    assert SigmaOverrides(sigma_min=3).sigma_max == 0


def test_seeds_continue_across_2_to_the_32_and_wrap_at_2_to_the_64():
    def seeds(seed, **fields):
        request = GenerationRequest(seed=seed, subseed=seed, num_images=3, **fields)
        return [request.seed_of(index) for index in range(3)], [
            request.subseed_of(index) for index in range(3)
        ]

    for start, expected in [
        (2**32 - 2, [2**32 - 2, 2**32 - 1, 2**32]),
        (2**64 - 2, [2**64 - 2, 2**64 - 1, 0]),
        (-2, [-2, -1, 0]),
    ]:
        assert seeds(start) == (expected, expected)
    assert seeds(2**40, subseed_strength=0.1)[0] == [2**40] * 3
