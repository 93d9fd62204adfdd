"""Background replacement without a model: mask, canvas and paste-back. tests/demo tests the generated background."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gpu_runner.imaging import masks
from gpu_runner.imaging.images import InvalidImage
from gpu_runner.protocol.generation_request import GenerationRequest
from gpu_runner.protocol.request_parts.backgrounds import ChangeBackground
from gpu_runner.protocol.request_parts.values import InputImage
from gpu_runner.tasks import change_background
from gpu_runner.tasks.change_background import Foreground, canvas, cut_out, expanded, inpainting_request

pytestmark = pytest.mark.slow

INIT_IMAGE = InputImage(sha256="0" * 64)


def request(width=64, height=64, **fields):
    changes = {"init_images": (INIT_IMAGE,), "resize_mode": "fill"} | fields
    return GenerationRequest(
        task="change_background",
        width=width,
        height=height,
        change_background=ChangeBackground(matting_model="any", **changes.pop("part", {})),
        **changes,
    )


def make_canvas(background_request, product):
    return canvas(background_request, background_request.change_background, product)


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


# Mask expansion


def test_expansion_changes_each_side_by_its_pixels_and_0_changes_nothing():
    areas = [area(expanded(PRODUCT.mask, pixels)) for pixels in range(-6, 7)]
    assert areas == [(24 + 2 * n) * (32 + 2 * n) for n in range(-6, 7)]
    assert expanded(PRODUCT.mask, 0).tobytes() == PRODUCT.mask.tobytes()


@pytest.mark.parametrize("pixels", [-3, 5])
def test_a_product_at_the_image_border_does_not_shrink_there(pixels):
    cut_product = expanded(box_mask(64, 64, (0, 0, 30, 64)), pixels)
    assert cut_product.getbbox() == (0, 0, 30 + pixels, 64)


def test_a_soft_mask_is_thresholded_at_half():
    levels = Image.linear_gradient("L").resize((64, 64))
    assert set(expanded(levels, 0).tobytes()) == {0, 255}


@pytest.mark.parametrize("message", ["is empty", "covers the whole image"])
def test_a_mask_that_selects_nothing_or_everything_is_rejected(message):
    mask = Image.new("L", (64, 64), 0 if "empty" in message else 255)
    with pytest.raises(InvalidImage, match=message):
        make_canvas(request(), Foreground(noise(64, 64), mask))


def test_a_product_that_is_eroded_completely_is_rejected():
    with pytest.raises(InvalidImage, match="removes all of it"):
        make_canvas(request(part={"mask_expansion": -20}), PRODUCT)


# Selection of the product


def cut_product(image, mask=None, **part):
    return cut_out(image, mask, ChangeBackground(**part), "#ffffff", None)


def test_a_mask_of_another_size_is_stretched_to_the_image():
    product = cut_product(noise(128, 96), box_mask(64, 48, (10, 10, 20, 20)))
    assert product.mask.size == (128, 96)
    assert expanded(product.mask, 0).getbbox() == (20, 20, 40, 40)


def test_mask_invert_swaps_product_and_background():
    plain, inverted = (
        cut_product(noise(64, 64), PRODUCT.mask, mask_invert=invert) for invert in (False, True)
    )
    assert (np.asarray(plain.mask) + np.asarray(inverted.mask) == 255).all()


def test_cut_out_by_transparency_uses_the_alpha_channel():
    image = noise(64, 64)
    image.putalpha(PRODUCT.mask)
    product = cut_product(image, cut_out_by="transparency")
    assert product.mask.tobytes() == PRODUCT.mask.tobytes()
    assert product.image.getpixel((0, 0)) == (255, 255, 255)


def test_cut_out_by_transparency_rejects_an_opaque_image():
    with pytest.raises(InvalidImage, match="alpha channel"):
        cut_product(noise(64, 64), cut_out_by="transparency")


# Canvas and paste-back

GENERATED = Image.new("RGB", (64, 64), "blue")


def test_product_pixels_are_kept_to_the_byte_and_the_rest_is_generated():
    after = np.asarray(make_canvas(request(), PRODUCT).finish(GENERATED))
    inside = np.asarray(box_mask(64, 64, (24, 20, 40, 44))) == 255  # 2 of the expansion, 2 of the feather
    outside = np.asarray(PRODUCT.mask) == 0
    assert (after[inside] == np.asarray(PRODUCT.image)[inside]).all()
    assert (after[outside] == (0, 0, 255)).all()


def test_the_feather_blends_at_the_edge_of_the_product_only():
    white = Foreground(Image.new("RGB", (64, 64), "white"), PRODUCT.mask)
    row = np.asarray(make_canvas(request(part={"mask_expansion": 0, "feather": 3}), white).finish(GENERATED))[
        32, :, 0
    ]
    assert (np.diff(row[:32].astype(int)) >= 0).all()
    assert row[17:23].min() > 0
    assert row[17:23].max() < 255
    assert row[16] == 0
    assert row[23] == 255


def test_feather_0_gives_a_sharp_edge():
    after = make_canvas(request(part={"feather": 0}), PRODUCT).finish(GENERATED)
    kept = np.asarray(expanded(PRODUCT.mask, -2)) == 255
    assert ((np.asarray(after) == np.asarray(PRODUCT.image)).all(-1) >= kept).all()
    assert (np.asarray(after)[~kept] == (0, 0, 255)).all()


def test_the_output_has_the_requested_size_though_generated_in_another():
    image = noise(101, 67)
    background_request = request(104, 72, part={"output_width": 101, "output_height": 67, "feather": 0})
    product_canvas = make_canvas(background_request, Foreground(image, box_mask(101, 67, (30, 20, 71, 50))))
    assert (product_canvas.frame.size, product_canvas.mask.size) == ((104, 72), (104, 72))
    after = product_canvas.finish(Image.new("RGB", (104, 72), "blue"))
    assert after.size == (101, 67)
    assert after.crop((32, 22, 69, 48)).tobytes() == image.crop((32, 22, 69, 48)).tobytes()


def test_resize_mode_fill_keeps_the_aspect_ratio_and_generates_the_bars():
    product_canvas = make_canvas(request(128, 64, part={"feather": 0}), PRODUCT)
    assert expanded(product_canvas.mask, 0).getextrema() == (0, 255)
    assert np.asarray(product_canvas.mask)[:, :32].min() == 255
    after = product_canvas.finish(Image.new("RGB", (128, 64), "blue"))
    assert after.crop((56, 20, 70, 40)).tobytes() == PRODUCT.image.crop((24, 20, 38, 40)).tobytes()


def test_content_fill_removes_the_old_background_and_content_original_keeps_it():
    old = Image.new("RGB", (64, 64), "yellow")
    old.paste("red", BOX)
    product = Foreground(old, PRODUCT.mask)
    filled, original = (
        make_canvas(request(part={"content": content}), product) for content in ("fill", "original")
    )
    assert original.frame.getpixel((2, 2)) == (255, 255, 0)
    red, green, _blue = filled.frame.getpixel((2, 2))
    assert red > 200 > 60 > green


def test_background_starts_neutral_and_is_generated_up_to_whole_cells_of_the_product():
    box = (6, 5, 58, 59)
    old = Image.new("RGB", (64, 64), "yellow")
    old.paste("red", box)
    neutral = make_canvas(request(), Foreground(old, box_mask(64, 64, box)))
    assert {color for _count, color in neutral.frame.getcolors()} == {change_background.NEUTRAL, (255, 0, 0)}
    assert neutral.options.content == "original"
    kept = masks.to_latent_grid(neutral.mask, 8, 8, rounded=True)[0] == 0
    assert kept.any()
    frame = np.asarray(neutral.frame)
    for row, column in kept.nonzero().tolist():
        assert (frame[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] == (255, 0, 0)).all()


def test_product_that_is_thinner_than_a_cell_is_kept():
    thin = Foreground(noise(64, 64), box_mask(64, 64, (28, 8, 36, 56)))
    assert np.asarray(make_canvas(request(), thin).mask).min() == 0


def test_the_background_is_generated_by_inpainting_everything_but_the_product():
    background_request = inpainting_request(request(strength=0.9))
    assert (background_request.task, background_request.strength) == ("img2img", 0.9)
    assert (background_request.change_background, background_request.inpaint) == (None, None)
    product_canvas = make_canvas(request(part={"content": "noise"}), PRODUCT)
    assert (product_canvas.options.content, product_canvas.options.rounded) == ("noise", True)
    assert inpainting_request(GenerationRequest()) == GenerationRequest()


def test_model_names_lists_all_models_that_the_request_needs():
    keys = [name.key for name in request(nsfw={"policy": "blur", "model": "open_nsfw"}).model_names()]
    assert keys == ["matting:any", "nsfw:open_nsfw"]


@pytest.mark.parametrize(
    "fields",
    [
        {"task": "img2img"},
        {"change_background": None},
        {"init_images": ()},
        {"inpaint": {"mask": INIT_IMAGE}},
    ],
)
def test_an_incomplete_change_background_request_is_invalid(fields):
    whole = request().model_dump()
    with pytest.raises(ValueError, match=r"init image|background"):
        GenerationRequest(**(whole | fields))
    assert change_background.inpainting_request(request())
