"""Options for returned masks and grids."""

import base64
import io

import pytest
from PIL import Image, ImageDraw

from dialects.a1111.schema.images import grid_rows

pytestmark = pytest.mark.slow

BOX = (32, 0, 63, 63)
SETTINGS = {"n_rows": -1, "grid_prevent_empty_spots": False}


def right_half() -> str:
    mask = Image.new("L", (64, 64))
    ImageDraw.Draw(mask).rectangle(BOX, fill=255)
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def inpainted(alice, complete, red, **body):
    job = alice.submit("img2img", init_images=[red], mask=right_half(), **{"mask_blur": 0, **body})
    complete(job)
    return alice.result(job)


@pytest.mark.parametrize("only_masked", [True, False])
def test_return_mask_adds_the_mask_after_each_image(
    alice, complete, red, open_image, info, only_masked
) -> None:
    alice.post("options", {"return_mask": True})
    result = inpainted(alice, complete, red, inpaint_full_res=only_masked)
    assert len(result["images"]) == 2
    assert len(info(result)["infotexts"]) == 1
    mask = open_image(result["images"][1])
    assert (mask.size, mask.mode) == ((64, 64), "RGB")
    assert (mask.getpixel((8, 32)), mask.getpixel((56, 32))) == ((0, 0, 0), (255, 255, 255))


def test_composite_contains_only_the_generated_part(alice, complete, red, open_image) -> None:
    result = inpainted(
        alice, complete, red, override_settings={"return_mask": True, "return_mask_composite": True}
    )
    assert len(result["images"]) == 3
    composite = open_image(result["images"][2])
    image = open_image(result["images"][0]).convert("RGB")
    assert composite.getpixel((8, 32))[3] == 0
    assert composite.getpixel((56, 32)) == (*image.getpixel((56, 32)), 255)


def test_returned_mask_is_inverted_with_inpainting_mask_invert(alice, complete, red, open_image) -> None:
    alice.post("options", {"return_mask": True})
    mask = open_image(inpainted(alice, complete, red, inpainting_mask_invert=1)["images"][1])
    assert (mask.getpixel((8, 32)), mask.getpixel((56, 32))) == ((255, 255, 255), (0, 0, 0))


def test_mask_options_have_no_effect_without_a_mask(alice, complete) -> None:
    alice.post("options", {"return_mask": True, "return_mask_composite": True})
    job = alice.submit()
    complete(job)
    assert len(alice.result(job)["images"]) == 1


@pytest.mark.parametrize(
    ("count", "batch_size", "options", "rows"),
    [
        (5, 1, {}, 2),
        (6, 1, {"n_rows": 6}, 6),
        (6, 3, {"n_rows": 0}, 3),
        (2, 1, {"n_rows": 16}, 2),
        (8, 1, {}, 3),
        (8, 1, {"grid_prevent_empty_spots": True}, 2),
        (7, 1, {"grid_prevent_empty_spots": True}, 1),
    ],
)
def test_grid_rows_follow_the_options(count, batch_size, options, rows) -> None:
    assert grid_rows(count, batch_size, SETTINGS | options) == rows


def test_grid_of_one_image_by_option(alice, complete, info) -> None:
    alice.post("options", {"grid_only_if_multiple": False})
    job = alice.submit(save_images=True)
    complete(job)
    assert (len(alice.result(job)["images"]), info(alice.result(job))["index_of_first_image"]) == (2, 1)


def test_returned_mask_lies_where_the_padded_image_does(alice, complete, red, open_image) -> None:
    """A mask of 64 x 64 in a frame of 64 x 128: the bars repeat its edges."""
    result = inpainted(
        alice,
        complete,
        red,
        override_settings={"return_mask": True},
        inpaint_full_res=False,
        resize_mode=2,
        width=64,
        height=128,
    )
    mask = open_image(result["images"][1])
    assert mask.size == (64, 128)
    for row in (2, 64, 125):
        assert (mask.getpixel((8, row))[0], mask.getpixel((56, row))[0]) == (0, 255)
