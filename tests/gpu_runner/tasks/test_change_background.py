"""Cutting out and putting back, without a model: what is drawn between the two is tests/demo's."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gpu_runner.imaging.images import InvalidImage
from gpu_runner.protocol.generation_request import ChangeBackground, GenerationRequest, Picture
from gpu_runner.tasks import change_background
from gpu_runner.tasks.change_background import Foreground, canvas, cut_out, drawing_request, expanded

pytestmark = pytest.mark.slow

NOBODY = Picture(sha256="0" * 64)


def request(width=64, height=64, **fields):
    changes = {"init_images": (NOBODY,), "resize_mode": "fill"} | fields
    return GenerationRequest(
        task="change_background",
        width=width,
        height=height,
        change_background=ChangeBackground(matting_model="any", **changes.pop("part", {})),
        **changes,
    )


def made(asked, product):
    return canvas(asked, asked.change_background, product)


def noise(width, height):
    pixels = np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def box_mask(width, height, box):
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=255)
    return mask


def area(mask):
    return int((np.asarray(mask) == 255).sum())


BOX = (20, 16, 44, 48)
PRODUCT = Foreground(noise(64, 64), box_mask(64, 64, BOX))


# The mask


def test_the_area_grows_with_the_expansion_and_0_changes_nothing():
    areas = [area(expanded(PRODUCT.mask, pixels)) for pixels in range(-6, 7)]
    assert areas == [(24 + 2 * n) * (32 + 2 * n) for n in range(-6, 7)]
    assert expanded(PRODUCT.mask, 0).tobytes() == PRODUCT.mask.tobytes()


@pytest.mark.parametrize("pixels", [-3, 5])
def test_a_product_that_the_edge_cuts_does_not_shrink_there(pixels):
    cut = expanded(box_mask(64, 64, (0, 0, 30, 64)), pixels)
    assert cut.getbbox() == (0, 0, 30 + pixels, 64)


def test_a_soft_mask_counts_from_the_half():
    levels = Image.linear_gradient("L").resize((64, 64))
    assert set(expanded(levels, 0).tobytes()) == {0, 255}


@pytest.mark.parametrize("edge", ["nothing of the picture", "nothing to draw"])
def test_a_mask_without_one_of_the_two_is_refused(edge):
    mask = Image.new("L", (64, 64), 0 if "of the picture" in edge else 255)
    with pytest.raises(InvalidImage, match=edge):
        made(request(), Foreground(noise(64, 64), mask))


def test_a_product_that_shrinks_to_nothing_is_refused():
    with pytest.raises(InvalidImage, match="shrinks"):
        made(request(part={"mask_expansion": -20}), PRODUCT)


# Which part of the picture is the product


def cut(picture, mask=None, **part):
    return cut_out(picture, mask, ChangeBackground(**part), "#ffffff", None)


def test_a_mask_of_another_size_is_stretched_over_the_picture():
    product = cut(noise(128, 96), box_mask(64, 48, (10, 10, 20, 20)))
    assert product.mask.size == (128, 96)
    assert expanded(product.mask, 0).getbbox() == (20, 20, 40, 40)


def test_an_inverted_mask_shows_the_background():
    plain, inverted = (cut(noise(64, 64), PRODUCT.mask, mask_invert=invert) for invert in (False, True))
    assert (np.asarray(plain.mask) + np.asarray(inverted.mask) == 255).all()


def test_a_picture_that_is_cut_out_already_shows_its_product_by_transparency():
    picture = noise(64, 64)
    picture.putalpha(PRODUCT.mask)
    product = cut(picture, cut_out_by="transparency")
    assert product.mask.tobytes() == PRODUCT.mask.tobytes()
    assert product.picture.getpixel((0, 0)) == (255, 255, 255)


def test_an_opaque_picture_has_no_transparency_to_go_by():
    with pytest.raises(InvalidImage, match="transparent"):
        cut(noise(64, 64), cut_out_by="transparency")


# Before and after the drawing

DRAWN = Image.new("RGB", (64, 64), "blue")


def test_the_products_pixels_are_its_own_to_the_byte_and_the_rest_is_drawn():
    after = np.asarray(made(request(), PRODUCT).finish(DRAWN))
    inside = np.asarray(box_mask(64, 64, (24, 20, 40, 44))) == 255  # 2 of the expansion, 2 of the feather
    outside = np.asarray(PRODUCT.mask) == 0
    assert (after[inside] == np.asarray(PRODUCT.picture)[inside]).all()
    assert (after[outside] == (0, 0, 255)).all()


def test_the_feather_blends_at_the_rim_and_nowhere_else():
    white = Foreground(Image.new("RGB", (64, 64), "white"), PRODUCT.mask)
    row = np.asarray(made(request(part={"mask_expansion": 0, "feather": 3}), white).finish(DRAWN))[32, :, 0]
    assert (np.diff(row[:32].astype(int)) >= 0).all()
    assert row[17:23].min() > 0
    assert row[17:23].max() < 255
    assert row[16] == 0
    assert row[23] == 255


def test_without_a_feather_the_rim_is_sharp():
    after = made(request(part={"feather": 0}), PRODUCT).finish(DRAWN)
    kept = np.asarray(expanded(PRODUCT.mask, -2)) == 255
    assert ((np.asarray(after) == np.asarray(PRODUCT.picture)).all(-1) >= kept).all()
    assert (np.asarray(after)[~kept] == (0, 0, 255)).all()


def test_the_finished_picture_has_the_originals_size_though_it_was_drawn_in_another():
    picture = noise(101, 67)
    asked = request(104, 72, part={"output_width": 101, "output_height": 67, "feather": 0})
    drawn_upon = made(asked, Foreground(picture, box_mask(101, 67, (30, 20, 71, 50))))
    assert (drawn_upon.frame.size, drawn_upon.mask.size) == ((104, 72), (104, 72))
    after = drawn_upon.finish(Image.new("RGB", (104, 72), "blue"))
    assert after.size == (101, 67)
    assert after.crop((32, 22, 69, 48)).tobytes() == picture.crop((32, 22, 69, 48)).tobytes()


def test_in_a_wider_frame_the_product_keeps_its_shape_and_the_bars_are_drawn():
    drawn_upon = made(request(128, 64, part={"feather": 0}), PRODUCT)
    assert expanded(drawn_upon.mask, 0).getextrema() == (0, 255)
    assert np.asarray(drawn_upon.mask)[:, :32].min() == 255
    after = drawn_upon.finish(Image.new("RGB", (128, 64), "blue"))
    assert after.crop((56, 20, 70, 40)).tobytes() == PRODUCT.picture.crop((24, 20, 38, 40)).tobytes()


def test_nothing_of_the_old_background_is_left_to_begin_with_unless_it_is_asked_for():
    old = Image.new("RGB", (64, 64), "yellow")
    old.paste("red", BOX)
    product = Foreground(old, PRODUCT.mask)
    filled, original = (made(request(part={"content": content}), product) for content in ("fill", "original"))
    assert original.frame.getpixel((2, 2)) == (255, 255, 0)
    red, green, _blue = filled.frame.getpixel((2, 2))
    assert red > 200 > 60 > green


def test_what_is_drawn_is_an_inpainting_of_everything_but_the_product():
    asked = drawing_request(request(strength=0.9))
    assert (asked.task, asked.strength) == ("img2img", 0.9)
    assert (asked.change_background, asked.inpaint) == (None, None)
    drawn_upon = made(request(part={"content": "noise"}), PRODUCT)
    assert (drawn_upon.options.content, drawn_upon.options.rounded) == ("noise", True)
    assert drawing_request(GenerationRequest()) == GenerationRequest()


def test_the_names_in_a_request_are_what_a_runner_must_be_given():
    keys = [name.key for name in request(nsfw={"policy": "blur", "model": "open_nsfw"}).model_names()]
    assert keys == ["matting:any", "nsfw:open_nsfw"]


@pytest.mark.parametrize(
    "fields",
    [
        {"task": "img2img"},
        {"change_background": None},
        {"init_images": ()},
        {"inpaint": {"mask": NOBODY}},
    ],
)
def test_a_request_with_half_of_the_task_is_none(fields):
    whole = request().model_dump()
    with pytest.raises(ValueError, match=r"init image|background"):
        GenerationRequest(**(whole | fields))
    assert change_background.drawing_request(request())
