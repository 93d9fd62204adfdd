"""Detects the kind of an .onnx file from its graph's inputs, outputs and metadata. File names are ignored.

No torch and no onnxruntime: the platform's background worker uses it in scans.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

from .onnx_header import OnnxHeader, OnnxShape, read_onnx_header
from .safetensors_models import Identified

BOX_SIDES, MASK_WEIGHTS = 4, 32  # values per anchor of a YOLO model, beside the class scores
YOLO_STRIDES = (8, 16, 32)
MAX_NAMES_LENGTH = 100_000
OPEN_NSFW_SHAPE = (224, 224, 3)
PADDLE_OUTPUT = re.compile(r"fetch_name_\d+|sigmoid_\d+\.tmp_\d+")
TAGGER_SHAPE = (448, 448, 3)
YUNET_OUTPUTS = frozenset(
    f"{part}_{stride}" for part in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)
)


def identify_onnx(header: OnnxHeader) -> Identified:
    """Return the result of the first matching rule; kind "unknown" if none matches."""
    for rule in RULES:
        if found := rule(header):
            return found
    return Identified()


def identify_onnx_file(path: Path) -> Identified:
    """Identify an .onnx file. Raises ValueError if it is not one."""
    return identify_onnx(read_onnx_header(path))


def _nude_detector(header: OnnxHeader) -> Identified | None:
    """NudeNet: an Ultralytics detector whose metadata lists its classes."""
    names = header.metadata.get("names", "")
    found = header.metadata.get("task") == "detect" and "_EXPOSED" in names
    return Identified("nsfw", detail={"model": "nudenet"}) if found else None


def _open_nsfw(header: OnnxHeader) -> Identified | None:
    """Yahoo's open_nsfw: input BGR pixels, output (SFW, NSFW) scores."""
    found = _only(header.inputs)[1:] == OPEN_NSFW_SHAPE and _first(header.outputs)[1:] == (2,)
    return Identified("nsfw", detail={"model": "open_nsfw"}) if found else None


def _yunet(header: OnnxHeader) -> Identified | None:
    """YuNet: class, objectness, box and keypoint outputs for three strides."""
    image = _only(header.inputs)
    if not header.outputs.keys() >= YUNET_OUTPUTS or len(image) != 4 or image[1] != 3:
        return None
    return Identified("face_detector", detail={"model": "yunet", "height": image[2], "width": image[3]})


def _tagger(header: OnnxHeader) -> Identified | None:
    """WD14 taggers: input a square of pixels with the channels last, output one probability per tag."""
    image, tags = _only(header.inputs), _only(header.outputs)
    if image[1:] != TAGGER_SHAPE or len(tags) != 2 or tags[1] is None:
        return None
    return Identified("tagger", detail={"side": image[1], "tags": tags[1]})


def _yolo(header: OnnxHeader) -> Identified | None:
    """YOLO v8 and later, as Ultralytics exports it: per anchor a box, class scores and, to segment, 32 mask weights."""
    image, rows, protos = _only(header.inputs), _first(header.outputs), _second(header.outputs)
    if len(image) != 4 or image[1] != 3 or len(rows) != 3:
        return None
    segments = len(protos) == 4 and protos[1] == MASK_WEIGHTS
    fixed = BOX_SIDES + MASK_WEIGHTS * segments
    names = class_names(header.metadata.get("names", ""))
    count = len(names) or ((rows[1] or 0) - fixed)
    has_task = header.metadata.get("task") == ("segment" if segments else "detect")
    has_anchors = None not in image and rows[2] == anchors(image[2] or 0, image[3] or 0)
    fits = rows[1] in (None, count + fixed) and count > 0
    if not fits or not (has_anchors or (has_task and names)):
        return None
    detail = {"height": image[2], "width": image[3], "classes": count, "names": names, "segments": segments}
    return Identified("detector", detail={"model": "yolo"} | detail)


def anchors(height: int, width: int) -> int:
    """Number of anchors of the three strides."""
    return sum((height // stride) * (width // stride) for stride in YOLO_STRIDES)


def class_names(text: str) -> tuple[str, ...]:
    """Class names of the metadata, which Ultralytics writes as a Python dictionary: ``{0: 'face'}``."""
    try:
        found = ast.literal_eval(text[:MAX_NAMES_LENGTH])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    if not isinstance(found, dict) or list(found) != list(range(len(found))):
        return ()
    return tuple(str(name) for name in found.values())


def _matting(header: OnnxHeader) -> Identified | None:
    """Salient object detection: input an image, output one channel of the same size."""
    image, matte = _only(header.inputs), _first(header.outputs)
    if len(image) != 4 or len(matte) != 4 or image[1] != 3 or matte[1] != 1 or image[2:] != matte[2:]:
        return None
    return Identified("matting", detail={"side": image[2], "maps": len(header.outputs)})


def _text_detector(header: OnnxHeader) -> Identified | None:
    """Text detection of PP-OCR, as Paddle2ONNX exports it: any image, output one map, and names of its own."""
    image, found = header.inputs.get("x", ()), _only(header.outputs)
    if (
        len(header.inputs) != 1
        or image != (None, 3, None, None)
        or len(found) != 4
        or found[1] not in (1, None)
    ):
        return None
    if not any(PADDLE_OUTPUT.fullmatch(name) for name in header.outputs):
        return None
    return Identified("text_detector", detail={"model": "pp-ocr"})


RULES: tuple[Callable[[OnnxHeader], Identified | None], ...] = (
    _nude_detector,
    _open_nsfw,
    _yunet,
    _tagger,
    _text_detector,  # before matting models of any size, which differ by their names only
    _matting,
    _yolo,
)


def _only(values: Mapping[str, OnnxShape]) -> OnnxShape:
    return next(iter(values.values())) if len(values) == 1 else ()


def _second(values: Mapping[str, OnnxShape]) -> OnnxShape:
    return next(islice(values.values(), 1, None), ())


def _first(values: Mapping[str, OnnxShape]) -> OnnxShape:
    return next(iter(values.values()), ())
