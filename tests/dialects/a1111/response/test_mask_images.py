"""The options that add masks and shape grids."""

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


def inpainted(alice, draw, red, **body):
    job = alice.submit("img2img", init_images=[red], mask=right_half(), **{"mask_blur": 0, **body})
    draw(job)
    return alice.result(job)


@pytest.mark.parametrize("only_masked", [True, False])
def test_the_mask_follows_its_picture(alice, draw, red, opened, info, only_masked) -> None:
    alice.post("options", {"return_mask": True})
    answer = inpainted(alice, draw, red, inpaint_full_res=only_masked)
    assert len(answer["images"]) == 2
    assert len(info(answer)["infotexts"]) == 1
    mask = opened(answer["images"][1])
    assert (mask.size, mask.mode) == ((64, 64), "RGB")
    assert (mask.getpixel((8, 32)), mask.getpixel((56, 32))) == ((0, 0, 0), (255, 255, 255))


def test_the_composite_shows_what_was_drawn_alone(alice, draw, red, opened) -> None:
    answer = inpainted(
        alice, draw, red, override_settings={"return_mask": True, "return_mask_composite": True}
    )
    assert len(answer["images"]) == 3
    composite = opened(answer["images"][2])
    drawn = opened(answer["images"][0]).convert("RGB")
    assert composite.getpixel((8, 32))[3] == 0
    assert composite.getpixel((56, 32)) == (*drawn.getpixel((56, 32)), 255)


def test_an_inverted_mask_is_shown_as_it_acts(alice, draw, red, opened) -> None:
    alice.post("options", {"return_mask": True})
    mask = opened(inpainted(alice, draw, red, inpainting_mask_invert=1)["images"][1])
    assert (mask.getpixel((8, 32)), mask.getpixel((56, 32))) == ((255, 255, 255), (0, 0, 0))


def test_without_a_mask_there_is_none(alice, draw) -> None:
    alice.post("options", {"return_mask": True, "return_mask_composite": True})
    job = alice.submit()
    draw(job)
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
def test_a_grid_has_the_rows_that_the_options_say(count, batch_size, options, rows) -> None:
    assert grid_rows(count, batch_size, SETTINGS | options) == rows


def test_a_grid_of_one_where_it_is_wanted(alice, draw, info) -> None:
    alice.post("options", {"grid_only_if_multiple": False})
    job = alice.submit(save_images=True)
    draw(job)
    assert (len(alice.result(job)["images"]), info(alice.result(job))["index_of_first_image"]) == (2, 1)
