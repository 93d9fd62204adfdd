"""Inpainting masks: extraction, blur, crop box, fill, latent grid, and color correction."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from gpu_runner.imaging import masks
from gpu_runner.protocol.generation_request import GenerationRequest
from gpu_runner.protocol.request_parts.passes import Inpaint
from gpu_runner.protocol.request_parts.values import InputImage
from gpu_runner.tasks.init_image import Source, compose
from gpu_runner.tasks.tiled_upscaling import resize_by_interpolation, run_without_device

MASK = InputImage(sha256="1" * 64)
INIT = InputImage(sha256="0" * 64)


def box_mask(width, height, box):
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=255)
    return mask


def canvas(image, mask, **fields):
    own = {"blur_x": 0, "blur_y": 0} | {
        name: fields.pop(name) for name in list(fields) if name in Inpaint.model_fields
    }
    sizes = {"width": 64, "height": 64}
    request = GenerationRequest(
        task="img2img", init_images=(INIT,), inpaint=Inpaint(mask=MASK, **own), **(sizes | fields)
    )
    return run_without_device(compose(request, Source(image, mask), resize_by_interpolation("Lanczos")))


def test_the_alpha_channel_is_the_mask_of_an_image_with_transparency():
    image = Image.new("RGBA", (4, 1), (255, 255, 255, 255))
    image.putalpha(Image.fromarray(np.array([[0, 128, 129, 255]], dtype=np.uint8)))
    assert list(np.asarray(masks.from_image(image, rounded=True))[0]) == [0, 0, 255, 255]
    assert list(np.asarray(masks.from_image(image, rounded=False))[0]) == [0, 128, 129, 255]


def test_the_luminance_is_the_mask_of_an_opaque_image():
    assert masks.from_image(Image.new("RGBA", (1, 1), (0, 255, 0, 255)), rounded=True).getpixel((0, 0)) == 150


def test_a_blur_is_gaussian_and_separate_per_axis():
    mask = box_mask(101, 101, (50, 0, 101, 101))
    soft = np.asarray(masks.blur(mask, 10, 0), dtype=float)
    assert (soft == soft[0]).all()
    assert soft[0, 40] == pytest.approx(255 * 0.171, abs=4)  # the normal distribution at -0.95 deviations
    assert (soft[0, 20], soft[0, 80]) == (0, 255)


@pytest.mark.parametrize("size", [(1, 1), (3, 200)])
def test_a_blur_may_be_larger_than_the_mask(size):
    assert masks.blur(Image.new("L", size, 255), 500, 500).getextrema() == (255, 255)


def test_the_crop_box_is_padded_grown_to_the_aspect_ratio_and_kept_inside():
    mask = box_mask(200, 100, (90, 40, 110, 60))
    assert masks.crop_box(mask, 0, 64, 64) == (90, 40, 110, 60)
    assert masks.crop_box(mask, 10, 64, 64) == (80, 30, 120, 70)
    assert masks.crop_box(mask, 0, 128, 64) == (80, 40, 120, 60)
    assert masks.crop_box(box_mask(200, 100, (0, 0, 10, 50)), 0, 64, 64) == (0, 0, 50, 50)
    assert masks.crop_box(box_mask(200, 100, (190, 50, 200, 100)), 0, 64, 64) == (150, 50, 200, 100)


def test_a_black_mask_has_no_crop_box():
    assert masks.crop_box(Image.new("L", (10, 10)), 4, 64, 64) is None


def test_only_masked_with_a_black_mask_is_a_plain_img2img():
    plain = canvas(Image.new("RGB", (80, 60), "red"), Image.new("L", (80, 60)), only_masked=True)
    assert (plain.mask, plain.overlay, plain.frame.size) == (None, None, (64, 64))


@pytest.mark.parametrize("box", [(40, 30, 41, 31), (0, 0, 1, 1), (79, 59, 80, 60)])
def test_a_mask_of_one_pixel_is_cropped_with_its_surroundings(box):
    image = Image.new("RGB", (80, 60), "red")
    made = canvas(image, box_mask(80, 60, box), only_masked=True, padding=8)
    finished = made.finish(Image.new("RGB", (64, 64), "blue"))
    changed = np.asarray(finished) != np.asarray(image)
    assert made.frame.size == (64, 64)
    assert changed.any(axis=2).sum() == 1
    assert finished.getpixel(box[:2]) == (0, 0, 255)


def test_a_mask_of_another_size_is_resized_to_the_image():
    image = Image.new("RGB", (80, 60), "red")
    made = canvas(image, box_mask(8, 6, (0, 0, 4, 6)), only_masked=True)
    finished = made.finish(Image.new("RGB", (64, 64), "blue"))
    assert (finished.size, finished.getpixel((5, 30)), finished.getpixel((75, 30))) == (
        (80, 60),
        (0, 0, 255),
        (255, 0, 0),
    )


def test_half_masked_pixels_are_replaced_completely():
    made = canvas(
        Image.new("RGB", (64, 64), "red"), box_mask(64, 64, (32, 0, 64, 64)), blur_x=4, only_masked=False
    )
    row = np.asarray(made.finish(Image.new("RGB", (64, 64), "blue")))[32]
    assert tuple(row[0]) == (255, 0, 0)
    assert tuple(row[33]) == (0, 0, 255)
    assert len({tuple(pixel) for pixel in row}) > 5


def test_fill_masked_equals_the_original():
    """Levels that A1111's ``masking.fill`` returned: some radii are composited several times."""
    rows, columns = np.mgrid[:96, :128]
    image = Image.fromarray(np.stack([columns * 2, rows * 2, (columns + rows) % 256], -1).astype(np.uint8))
    mask = Image.new("L", (128, 96))
    ImageDraw.Draw(mask).ellipse((40, 20, 90, 70), fill=255)
    filled = masks.fill_masked(image, masks.blur(mask, 4, 4))
    assert [filled.getpixel((column, 45)) for column in (44, 52, 65, 86)] == [
        (81, 90, 86), (94, 90, 92), (129, 92, 109), (176, 90, 133),
    ]  # fmt: skip


def test_fill_masked_uses_the_surrounding_colors():
    halves = Image.new("RGB", (64, 64), "yellow")
    halves.paste((0, 0, 255), (24, 24, 40, 40))
    filled = masks.fill_masked(halves, box_mask(64, 64, (24, 24, 40, 40)))
    assert np.abs(np.array(filled.getpixel((32, 32))) - (255, 255, 0)).max() < 8


def test_the_latent_mask_is_binary_with_rounded_and_soft_without():
    mask = Image.new("L", (64, 64), 100)
    assert torch.equal(masks.to_latent_grid(mask, 8, 8, rounded=True), torch.zeros(1, 8, 8))
    assert masks.to_latent_grid(mask, 8, 8, rounded=False).mean() == pytest.approx(100 / 255, abs=0.01)


def test_color_correction_restores_the_colors_of_the_init_image():
    rng = np.random.default_rng(0)
    warm = Image.fromarray((rng.random((64, 64, 3)) * (60, 40, 30) + (180, 120, 60)).astype(np.uint8))
    cold = Image.fromarray((rng.random((64, 64, 3)) * (30, 40, 60) + (60, 120, 180)).astype(np.uint8))
    request = GenerationRequest(
        task="img2img", init_images=(INIT,), colour_correction=True, width=64, height=64
    )
    made = run_without_device(compose(request, Source(warm), resize_by_interpolation("Lanczos")))
    mean = np.asarray(made.finish(cold), dtype=float).mean(axis=(0, 1))
    assert mean[0] > mean[1] > mean[2]
