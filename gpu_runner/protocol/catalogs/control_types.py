"""Kinds of control images that union ControlNets of FLUX.1 tell apart, and the fields that say which one an image is."""

from __future__ import annotations

from .preprocessors import find

# Number of the kind in the embedding, as its authors (InstantX, Shakker Labs) publish it.
MODES = {"canny": 0, "tile": 1, "depth": 2, "blur": 3, "pose": 4, "gray": 5, "low_quality": 6}
# Kind of a preprocessor's map, by its first control type in the extension. Drawn lines are read as edges.
OF_TYPE = {
    "Canny": "canny",
    "Lineart": "canny",
    "Scribble": "canny",
    "SoftEdge": "canny",
    "MLSD": "canny",
    "Tile": "tile",
    "Depth": "depth",
    "OpenPose": "pose",
    "Recolor": "gray",
}
BLUR = "blur_gaussian"


def control_type(told: str, module: str) -> str:
    """What a control image is: ``told`` by the request, else by its preprocessor; empty if neither tells."""
    known = find(module)
    if told or known is None:
        return told
    if known.name == BLUR:
        return "blur"
    return next((OF_TYPE[name] for name in known.types if name in OF_TYPE), "")


def mode(told: str, module: str, modes: int) -> int | None:
    """Number of the kind for a union with so many; None if nothing tells it, or the union does not know it."""
    number = MODES.get(control_type(told, module), modes)
    return number if number < modes else None
