"""Pictures on their way in and out: files of bytes, PIL, and the tensors the VAE knows."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

MAX_PIXELS = 64 * 1024 * 1024
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
PREVIEW_SIDE = 256

ResizeMode = Literal["stretch", "crop", "fill"]


class BadPicture(ValueError):
    """The message is fit for the client's eyes."""


def read(data: bytes) -> Image.Image:
    """The first frame, upright, in RGB, with white behind what is transparent."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise BadPicture(
                    f"a picture has {picture.width}x{picture.height} pixels, more than {MAX_PIXELS}"
                )
            return _flatten(ImageOps.exif_transpose(picture))
    except BadPicture:
        raise
    except Exception as error:  # decoders raise anything on broken files
        raise BadPicture(f"a picture cannot be read; accepted are {', '.join(FORMATS)}") from error


def _flatten(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits a pixel, which convert() would clip
        picture = Image.fromarray((np.asarray(picture) / 257).clip(0, 255).astype(np.uint8))
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")


def resize(picture: Image.Image, width: int, height: int, mode: ResizeMode) -> Image.Image:
    size = (width, height)
    if picture.size == size:
        return picture
    if mode == "crop":
        return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    if mode == "fill":
        return _fill(ImageOps.contain(picture, size, Image.Resampling.LANCZOS), width, height)
    return picture.resize(size, Image.Resampling.LANCZOS)


def _fill(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Stretches the edge rows and columns into the bars."""
    left, top = (width - picture.width) // 2, (height - picture.height) // 2
    bars = ((top, height - picture.height - top), (left, width - picture.width - left), (0, 0))
    return Image.fromarray(np.pad(np.asarray(picture), bars, mode="edge"))


def to_tensor(picture: Image.Image) -> Tensor:
    """(3, height, width), from -1 to 1."""
    pixels = torch.from_numpy(np.array(picture, dtype=np.float32))
    return pixels.permute(2, 0, 1) / 127.5 - 1


def from_tensor(pixels: Tensor) -> Image.Image:
    levels = (pixels.float().clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).cpu().contiguous().numpy())


def png(picture: Image.Image) -> bytes:
    """Lightly compressed: the platform writes it again, with its text."""
    return _encode(picture, "PNG", compress_level=1)


def preview(colours: Tensor) -> bytes:
    """A small JPEG of a picture in the latent's resolution."""
    picture = from_tensor(colours)
    scale = PREVIEW_SIDE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return _encode(picture.resize((width, height), Image.Resampling.BICUBIC), "JPEG", quality=75)


def _encode(picture: Image.Image, file_format: str, **options: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()
