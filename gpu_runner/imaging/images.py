"""Pictures on their way in and out: files of bytes, PIL, and the tensors the VAE knows.

torch is imported where tensors are made: what only fits pictures into frames does without it.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageFilter, ImageOps

if TYPE_CHECKING:
    from torch import Tensor

MAX_PIXELS = 64 * 1024 * 1024
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
PREVIEW_SIDE = 256
TEXTURE_SHARE = 1 / 64  # of the longer side: what is finer counts as texture

ResizeMode = Literal["stretch", "crop", "fill"]
Size = tuple[int, int]  # width, height


class InvalidImage(ValueError):
    """The message is fit for the client's eyes."""


def read(data: bytes, background: str = "white") -> Image.Image:
    """The first frame, upright, in RGB, with the background behind what is transparent."""
    return flatten(open_picture(data), background)


def open_picture(data: bytes) -> Image.Image:
    """The first frame, upright, in RGBA where any of it is transparent, else in RGB or grey."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise InvalidImage(
                    f"a picture has {picture.width}x{picture.height} pixels, more than {MAX_PIXELS}"
                )
            return _plain(ImageOps.exif_transpose(picture))
    except InvalidImage:
        raise
    except Exception as error:  # decoders raise anything on broken files
        raise InvalidImage(f"a picture cannot be read; accepted are {', '.join(FORMATS)}") from error


def _plain(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits a pixel, which convert() would clip
        picture = Image.fromarray((np.asarray(picture) / 257).clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def flatten(picture: Image.Image, background: str) -> Image.Image:
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", picture.size, background), picture).convert("RGB")


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
    pixels = np.asarray(picture)
    bars = [(top, height - picture.height - top), (left, width - picture.width - left), (0, 0)]
    return Image.fromarray(np.pad(pixels, bars[: pixels.ndim], mode="edge"))


def without_texture(picture: Image.Image) -> Image.Image:
    """Its colours and large forms alone."""
    return picture.filter(ImageFilter.GaussianBlur(max(picture.size) * TEXTURE_SHARE))


def covering(size: Size, width: int, height: int) -> Size:
    """The least size of the same shape that hides a frame."""
    if size[0] * height < size[1] * width:
        return width, max(height, width * size[1] // size[0])
    return max(width, height * size[0] // size[1]), height


def centre(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Cuts the middle out."""
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def within(picture: Image.Image, pixels: int) -> Image.Image:
    """Shrunk, if it must be, to an area."""
    share = (pixels / (picture.width * picture.height)) ** 0.5
    if share >= 1:
        return picture
    size = max(1, int(picture.width * share)), max(1, int(picture.height * share))
    return picture.resize(size, Image.Resampling.LANCZOS)


def to_tensor(picture: Image.Image) -> Tensor:
    """(3, height, width), from -1 to 1."""
    import torch

    pixels = torch.from_numpy(np.array(picture, dtype=np.float32))
    return pixels.permute(2, 0, 1) / 127.5 - 1


def from_tensor(pixels: Tensor) -> Image.Image:
    levels = (pixels.float().clamp(-1, 1) * 127.5 + 127.5).round().byte()
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
