import base64

import pytest

from jobs.images.infotext.build import infotext
from jobs.images.storage import read_input
from jobs.models import InputPicture
from tests.dialects.a1111.conftest import solid_png

pytestmark = pytest.mark.slow

MASK = solid_png(64, 64, (255, 255, 255))


@pytest.fixture
def white() -> str:
    return base64.b64encode(MASK).decode()


def test_defaults_are_those_of_the_original(alice, red, white) -> None:
    """Only the masked area, filled with the surrounding color, with a mask blur of four pixels."""
    inpaint = alice.submit("img2img", init_images=[red], mask=white).generation_request.inpaint
    assert read_input(inpaint.mask.sha256) == MASK
    assert (inpaint.blur_x, inpaint.blur_y, inpaint.only_masked, inpaint.padding) == (4, 4, True, 0)
    assert (inpaint.content, inpaint.invert, inpaint.rounded, inpaint.overlay) == ("fill", False, True, True)


def test_every_inpainting_field_is_mapped(alice, red, white) -> None:
    job = alice.submit(
        "img2img", init_images=[red], mask=white, mask_blur_x=2, mask_blur_y=3, mask_round=False, inpainting_fill=2,
        inpaint_full_res=False, inpaint_full_res_padding=32, inpainting_mask_invert=1, initial_noise_multiplier=0.5,
        override_settings={"overlay_inpaint": False, "inpainting_mask_weight": 0.5, "img2img_fix_steps": True,
                           "img2img_color_correction": True, "img2img_background_color": "black"},
    )  # fmt: skip
    request = job.generation_request
    inpaint = request.inpaint
    assert (inpaint.blur_x, inpaint.blur_y, inpaint.rounded, inpaint.content) == (2, 3, False, "noise")
    assert (inpaint.only_masked, inpaint.padding, inpaint.invert) == (False, 32, True)
    assert (inpaint.overlay, inpaint.conditioning_weight) == (False, 0.5)
    assert (request.initial_noise_multiplier, request.exact_steps, request.colour_correction) == (
        0.5,
        True,
        True,
    )
    assert request.background == "#000000"


def test_mask_blur_sets_both_directions(alice, red, white) -> None:
    inpaint = alice.submit("img2img", init_images=[red], mask=white, mask_blur=9).generation_request.inpaint
    assert (inpaint.blur_x, inpaint.blur_y) == (9, 9)


def test_infotext_describes_inpainting(alice, red, white) -> None:
    job = alice.submit(
        "img2img", init_images=[red], mask=white, inpainting_fill=3, inpainting_mask_invert=1,
        inpaint_full_res_padding=8, denoising_strength=0.5, initial_noise_multiplier=0.9,
    )  # fmt: skip
    text = infotext(job, job.generation_request, 1)
    assert (
        "Mask mode: Inpaint not masked, Mask blur: 4, Inpaint area: Only masked, Masked area padding: 8, "
        "Masked content: latent nothing, Noise multiplier: 0.9" in text
    )
    assert "Denoising strength: 0.5" in text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inpainting_fill", 4),
        ("inpainting_fill", -1),
        ("mask_blur_x", 1000),
        ("inpaint_full_res_padding", -5),
        ("initial_noise_multiplier", -1),
        ("latent_mask", "abc"),
    ],
)
def test_invalid_value_is_rejected_at_its_field(alice, red, white, field, value) -> None:
    response = alice.post("img2img", {"init_images": [red], "mask": white, field: value})
    assert response.json()["detail"][0]["loc"] == ["body", field]


def test_invalid_mask_is_500(alice, red) -> None:
    response = alice.post("img2img", {"init_images": [red], "mask": "!!!"})
    assert (response.status_code, response.json()["detail"]) == (500, "Invalid encoded image")
    assert not InputPicture.objects.exists()


def test_mask_is_echoed_only_on_request(alice, complete, red, white) -> None:
    for include, echoed in ((False, None), (True, white)):
        job = alice.submit("img2img", init_images=[red], mask=white, include_init_images=include)
        assert white not in str(job.received)
        complete(job)
        assert alice.result(job)["parameters"]["mask"] == echoed


def test_resize_mode_3_is_latent(alice, red) -> None:
    request = alice.submit("img2img", init_images=[red], resize_mode=3).generation_request
    assert request.resize_mode == "latent"
