"""Output nodes of the ComfyUI double other than SaveImage: their inputs, files and entries in the history."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageDraw

CLIPS = Path(__file__).parent / "clips"
FPS = 8


def _node(**required: Any) -> dict[str, Any]:
    return {"input": {"required": required}, "output": [], "output_node": True}


PREFIX: dict[str, Any] = {"filename_prefix": ["STRING"]}
NODES: dict[str, Any] = {
    "PreviewImage": _node(images=["IMAGE"]),
    "SaveImageWebsocket": _node(images=["IMAGE"]),
    "SaveAnimatedWEBP": _node(images=["IMAGE"], **PREFIX, fps=["FLOAT", {}], lossless=["BOOLEAN"], quality=["INT", {}]),
    "SaveAnimatedPNG": _node(images=["IMAGE"], **PREFIX, fps=["FLOAT", {}], compress_level=["INT", {}]),
    "SaveWEBM": _node(images=["IMAGE"], **PREFIX, codec=[["vp9", "av1"], {}], fps=["FLOAT", {}], crf=["FLOAT", {}]),
    "SaveVideo": _node(video=["VIDEO"], **PREFIX, format=["COMBO", {"options": ["auto", "mp4"]}], codec=["COMBO", {"options": ["auto", "h264"]}]),
    "VHS_VideoCombine": _node(images=["IMAGE"], frame_rate=["FLOAT", {}], loop_count=["INT", {}], **PREFIX, format=[["image/gif", "video/h264-mp4"], {}], pingpong=["BOOLEAN"], save_output=["BOOLEAN"]),
}  # fmt: skip


class Saved(NamedTuple):
    """Files by the ends of their names, the first being the output, and the form of the entry in the history."""

    files: dict[str, bytes]
    key: str = "images"
    kind: str = "output"

    def history(self, folder: str, names: list[str]) -> dict[str, Any]:
        entry: dict[str, Any] = {"filename": names[0], "subfolder": folder, "type": self.kind}
        if self.key == "gifs":
            entry |= {
                "format": "video/h264-mp4",
                "frame_rate": FPS,
                "workflow": names[1],
                "fullpath": "/srv/x",
            }
        return {self.key: [entry], **({"animated": [True]} if self.kind == "output" else {})}


def saved(node: dict[str, Any], size: tuple[int, int], frames: int, seed: int, prompt: str) -> Saved:
    """What a node saves: a red circle on the color of the seed, which moves to the right in a video."""
    drawn = [circle(size, index, seed) for index in range(frames)]
    match node["class_type"]:
        case "PreviewImage":
            return Saved({"_.png": animation(drawn[:1], "PNG")}, kind="temp")
        case "SaveAnimatedWEBP":
            return Saved({"_.webp": animation(drawn, "WEBP", fps=node["inputs"]["fps"], prompt=prompt)})
        case "SaveAnimatedPNG":
            return Saved({"_.png": animation(drawn, "PNG", fps=node["inputs"]["fps"])})
        case "SaveWEBM":
            return Saved({"_.webm": clip("circle.webm")})
        case "VHS_VideoCombine":
            return Saved({".mp4": clip("circle.mp4"), ".png": animation(drawn[:1], "PNG")}, key="gifs")
    return Saved({"_.mp4": clip("circle.mp4")})


def circle(size: tuple[int, int], index: int = 0, seed: int = 0) -> Image.Image:
    image = Image.new("RGB", size, (20, seed % 256, 120))
    radius, y = min(size) // 4, size[1] // 2
    x = radius + index * 2
    ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), (230, 20, 20))
    return image


def animation(frames: list[Image.Image], kind: str, *, fps: float = FPS, prompt: str = "") -> bytes:
    """An image file of frames, losslessly; for WebP with the prompt as ComfyUI writes it."""
    file = io.BytesIO()
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:]} if len(frames) > 1 else {}
    if len(frames) > 1:
        options["duration"] = round(1000 / fps)
    if kind == "WEBP":
        exif = Image.Exif()
        exif[0x0110] = f"prompt:{prompt}"
        options |= {"lossless": True, "exif": exif}
    frames[0].save(file, kind, **options)
    return file.getvalue()


def clip(name: str) -> bytes:
    """A recorded video of 12 frames of 64 x 48 pixels, 8 per second, with ComfyUI's metadata."""
    return (CLIPS / name).read_bytes()
