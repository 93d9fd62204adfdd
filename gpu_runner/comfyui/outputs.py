"""Outputs of a prompt: where the server has them, and what they are, judged by their bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from PIL import Image as PILImage

from gpu_runner.imaging import images
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.video.media_types import UnknownMedia, media_of

# Files of the usual output nodes for the first use of a prefix, to find an output whose prompt was lost.
SAVED_NAMES = {
    "SaveImage": "{}_00001_.png",
    "SaveAnimatedWEBP": "{}_00001_.webp",
    "SaveAnimatedPNG": "{}_00001_.png",
    "SaveWEBM": "{}_00001_.webm",
    "SaveVideo": "{}_00001_.mp4",
    "VHS_VideoCombine": "{}_00001.mp4",
}
POSTER = "workflow"  # VHS_VideoCombine: name of an image of the first frame, beside the video


def files_of(known: dict[str, Any], node: str) -> tuple[dict[str, Any], ...]:
    """Return the files of an output node in a history entry, as parameters of /view.

    They are listed as ``images``, ``gifs`` or under other names, whatever their type is.
    """
    return tuple(_files((known.get("outputs") or {}).get(node)))


def _files(output: Any) -> Iterator[dict[str, Any]]:
    for listed in output.values() if isinstance(output, dict) else ():
        for file in listed if isinstance(listed, list) else ():
            if isinstance(file, dict) and isinstance(file.get("filename"), str):
                yield file


def location(file: dict[str, Any], name: str = "") -> tuple[str, str, str]:
    """Return file name, folder and kind of a file for ``ComfyClient.view``. ``name``: of another file beside it."""
    return (
        name or str(file.get("filename")),
        str(file.get("subfolder") or ""),
        str(file.get("type") or "output"),
    )


def poster_of(file: dict[str, Any]) -> tuple[str, str, str] | None:
    """Return the location of an image that shows the video; None if the node has saved none."""
    name = file.get(POSTER)
    return location(file, name) if isinstance(name, str) and name.lower().endswith(".png") else None


def still_image(data: bytes) -> PILImage.Image:
    """Decode the output of a workflow for images. Raises InvalidRequest."""
    media = _media(data)
    if media.moves:
        raise InvalidRequest(
            f"the workflow saved a video ({media.type}), and its declared output is an image"
        )
    return images.read(data)


def check_video(data: bytes) -> None:
    """Check the output of a workflow for videos. Raises InvalidRequest."""
    media = _media(data)
    if not media.moves:
        raise InvalidRequest(
            f"the workflow saved a still image ({media.type}), and its declared output is a video"
        )


def _media(data: bytes) -> Any:
    try:
        return media_of(data)
    except UnknownMedia as error:
        raise InvalidRequest(f"the workflow saved {error}, which is neither an image nor a video") from error
