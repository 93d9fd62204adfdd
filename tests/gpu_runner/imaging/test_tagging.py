"""Taggers: preparation of their input, thresholds, and tags as prompts."""

import hashlib

import pytest
from PIL import Image

from gpu_runner.imaging.tagging import find_tags
from gpu_runner.models.files import FileHashCache
from gpu_runner.models.onnx_store import OnnxStore
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.findings import FoundTag, TagsFound
from tests.support.onnx_files import tag_table, tagger_of_mean_colors

CHANNELS = (("blue", 0), ("green_(color)", 0), ("red", 0))


@pytest.fixture
def load(tmp_path):
    """Loads a tagger whose three outputs, the means of blue, green and red, have these tags."""

    def load(*rows):
        folder = tmp_path / "taggers"
        folder.mkdir(exist_ok=True)
        (folder / "mean.onnx").write_bytes(tagger_of_mean_colors())
        if rows:
            (folder / "mean.csv").write_text(tag_table(*rows))
        sha256 = hashlib.sha256(tagger_of_mean_colors()).hexdigest()
        return OnnxStore(tmp_path, FileHashCache()).tagger(ModelFile(path="taggers/mean.onnx", sha256=sha256))

    return load


def scores(found: TagsFound) -> dict[str, float]:
    return {tag.name: tag.score for tag in found.tags}


def test_the_input_is_blue_green_red_from_0_to_255(load):
    found = find_tags(load(*CHANNELS), Image.new("RGB", (20, 20), (255, 51, 0)), 0.0, None)
    assert scores(found) == {"red": 1.0, "green_(color)": 0.2, "blue": 0.0}


def test_the_image_is_centered_on_a_white_square(load):
    found = find_tags(load(*CHANNELS), Image.new("RGB", (448, 224), "black"), 0.0, None)
    assert scores(found) == pytest.approx({"red": 0.5, "green_(color)": 0.5, "blue": 0.5}, abs=0.01)


def test_tags_are_sorted_by_score_and_cut_at_their_threshold(load):
    orange = Image.new("RGB", (8, 8), (255, 102, 76))  # red 1.0, green 0.4, blue 0.298
    assert list(scores(find_tags(load(*CHANNELS), orange, None, None))) == ["red", "green_(color)"]
    assert list(scores(find_tags(load(*CHANNELS), orange, 0.5, None))) == ["red"]


def test_characters_have_a_threshold_of_their_own(load):
    tagger = load(("blue", 0), ("miku", 4), ("red", 4))
    gray = Image.new("RGB", (8, 8), (230, 204, 204))  # red 0.902, green and blue 0.8
    assert list(scores(find_tags(tagger, gray, None, None))) == ["red", "blue"]
    assert list(scores(find_tags(tagger, gray, None, 0.95))) == ["blue"]
    assert list(scores(find_tags(tagger, gray, 0.85, 0.5))) == ["red", "miku"]


def test_ratings_are_no_tags_and_have_no_threshold(load):
    found = find_tags(
        load(("general", 9), ("sensitive", 9), ("red", 0)), Image.new("RGB", (8, 8), "red"), 0.5, None
    )
    assert list(scores(found)) == ["red"]
    assert [(tag.name, tag.score) for tag in found.ratings] == [("general", 0.0), ("sensitive", 0.0)]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [((), "tag table is missing"), ((("red", 0),), "must have 3 rows"), ((("red", 7),) * 3, "category")],
)
def test_a_tagger_without_its_table_cannot_be_used(load, rows, reason):
    with pytest.raises(ModelUnavailable, match=f"taggers/mean.onnx cannot be used: .*{reason}"):
        load(*rows)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("long_hair", "long hair"),
        ("green_(color)", "green \\(color\\)"),
        ("a\\b", "a\\\\b"),
        ("^_^", "^_^"),
        ("o_o", "o_o"),
    ],
)
def test_a_tag_in_a_prompt_has_spaces_and_escaped_brackets(name, text):
    tag = FoundTag(name=name, score=1, category="general")
    assert tag.in_prompt() == text
    assert tag.in_prompt(spaces=False, escaped=False) == name


def test_tags_are_a_prompt_in_their_order():
    tags = [FoundTag(name=name, score=1, category="general") for name in ("red_circle", "1girl")]
    assert TagsFound(tags=tags).as_prompt() == "red circle, 1girl"
