"""What an .onnx file is, from its graph's inputs, outputs and metadata. File names prove nothing and are not looked at.

No torch and no onnxruntime here: the platform's background worker identifies files with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from .onnx_header import OnnxHeader, Sides, read_onnx_header
from .safetensors_models import Identified

OPEN_NSFW_SIDES = (224, 224, 3)
YUNET = frozenset(f"{part}_{stride}" for part in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32))


def identify_onnx(header: OnnxHeader) -> Identified:
    for rule in RULES:
        if found := rule(header):
            return found
    return Identified()


def identify_onnx_file(path: Path) -> Identified:
    """ValueError when it is not an ONNX file."""
    return identify_onnx(read_onnx_header(path))


def _nude_detector(header: OnnxHeader) -> Identified | None:
    """NudeNet's: an Ultralytics detector that names its classes."""
    names = header.metadata.get("names", "")
    found = header.metadata.get("task") == "detect" and "_EXPOSED" in names
    return Identified("nsfw", detail={"model": "nudenet"}) if found else None


def _open_nsfw(header: OnnxHeader) -> Identified | None:
    """Yahoo's: BGR pixels in, (fit, unfit) out."""
    found = _only(header.inputs)[1:] == OPEN_NSFW_SIDES and _first(header.outputs)[1:] == (2,)
    return Identified("nsfw", detail={"model": "open_nsfw"}) if found else None


def _yunet(header: OnnxHeader) -> Identified | None:
    """It tells of every cell of three grids how surely a face is there, and where."""
    picture = _only(header.inputs)
    if not header.outputs.keys() >= YUNET or len(picture) != 4 or picture[1] != 3:
        return None
    return Identified("face_detector", detail={"model": "yunet", "height": picture[2], "width": picture[3]})


def _matting(header: OnnxHeader) -> Identified | None:
    """A picture in, one channel of the same size out."""
    picture, matte = _only(header.inputs), _first(header.outputs)
    if len(picture) != 4 or len(matte) != 4 or picture[1] != 3 or matte[1] != 1 or picture[2:] != matte[2:]:
        return None
    return Identified("matting", detail={"side": picture[2], "maps": len(header.outputs)})


RULES: tuple[Callable[[OnnxHeader], Identified | None], ...] = (
    _nude_detector,
    _open_nsfw,
    _yunet,
    _matting,
)


def _only(values: Mapping[str, Sides]) -> Sides:
    return next(iter(values.values())) if len(values) == 1 else ()


def _first(values: Mapping[str, Sides]) -> Sides:
    return next(iter(values.values()), ())
