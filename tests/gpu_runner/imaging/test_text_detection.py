"""Detection of letters: with the real detector on drawn letters, and with a small one on the rules for boxes."""

import hashlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gpu_runner.imaging.text_detection import MAX_HEIGHT, boxes, mask_of_letters
from gpu_runner.models.files import FileHashCache
from gpu_runner.models.onnx_store import OnnxStore
from gpu_runner.protocol import ModelFile
from models_registry.management.commands import install_text_detector
from tests.support.onnx_files import bright_regions
from tests.support.text_detector import detector_wheel, lettered

pytestmark = pytest.mark.slow


def loaded(folder, data):
    (folder / "letters.onnx").write_bytes(data)
    file = ModelFile(path="letters.onnx", sha256=hashlib.sha256(data).hexdigest())
    return OnnxStore(folder, FileHashCache()).get(file, "text_detector")


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """PP-OCR's."""
    data = install_text_detector.detector_of(detector_wheel())
    return loaded(tmp_path_factory.mktemp("text_detection"), data)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Takes bright pixels for letters."""
    return loaded(tmp_path_factory.mktemp("text_detection"), bright_regions())


def scene(size=(256, 256), background="#2255aa"):
    """A red disc."""
    image = Image.new("RGB", size, background)
    box = [round(size[side % 2] * share) for side, share in enumerate((0.15, 0.15, 0.75, 0.75))]
    ImageDraw.Draw(image).ellipse(box, fill="red")
    return image


@pytest.mark.parametrize(
    ("size", "text", "corner", "letter_size"),
    [
        ((256, 256), "Atelier 2026", (70, 205), 28),
        ((256, 256), "sample", (75, 205), 12),
        ((512, 512), "样图 sample", (150, 410), 28),
        ((96, 96), "abc", (28, 76), 16),
    ],
)
def test_drawn_letters_are_found_and_little_else(detector, size, text, corner, letter_size):
    clean = scene(size)
    marked = lettered(clean, text, corner, letter_size)
    letters = (np.asarray(marked) != np.asarray(clean)).any(axis=2)
    mask = np.asarray(mask_of_letters(detector, marked)) > 0
    assert (letters & mask).sum() > 0.98 * letters.sum()
    assert mask.mean() < 0.12


def test_image_without_letters_has_none(detector):
    assert boxes(detector, scene()) == []


def test_box_covers_its_region_and_a_margin(small):
    image = Image.new("RGB", (400, 300))
    ImageDraw.Draw(image).rectangle((100, 120, 199, 139), fill="white")
    (box,) = boxes(small, image)
    left, top = box.min(axis=0)
    right, bottom = box.max(axis=0)
    margin = 1.6 * 100 * 20 / (100 + 20) / 2
    assert [left, top, right, bottom] == pytest.approx(
        [100 - margin, 120 - margin, 200 + margin, 140 + margin], abs=3
    )


def test_tilted_letters_have_a_tilted_box(small):
    image = Image.new("RGB", (400, 300))
    ImageDraw.Draw(image).polygon([(100, 100), (240, 200), (230, 214), (90, 114)], fill="white")
    mask = np.asarray(mask_of_letters(small, image)) > 0
    assert mask[150, 165]
    assert not mask[110, 230]


def test_regions_higher_than_a_line_of_letters_are_left_out(small):
    image = Image.new("RGB", (300, 300))
    high = round(300 * MAX_HEIGHT) + 6
    ImageDraw.Draw(image).rectangle((20, 20, 280, 20 + high), fill="white")
    assert boxes(small, image) == []


@pytest.mark.parametrize("size", [(1, 1), (8, 3000), (3000, 40), (33, 31)])
def test_any_size_of_image_has_a_mask_of_its_size(small, size):
    assert mask_of_letters(small, Image.new("RGB", size, "white")).size == size
