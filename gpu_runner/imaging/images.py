"""Conversion of images between file bytes, PIL images and the tensors of a VAE, and resizing.

torch is imported in the functions that need it, because the ComfyUI adapter runs without it.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageFilter

from gpu_runner.protocol.images import files as image_files
from gpu_runner.protocol.images.files import FORMATS, MAX_PIXELS, UnusableImage, flatten
from gpu_runner.protocol.images.working_size import placement

if TYPE_CHECKING:
    from torch import Tensor

PREVIEW_SIDE = 256
REASONS = {  # why a file is unusable; {} is what was found
    "pixels": f"input image must have at most {MAX_PIXELS} pixels (got {{}})",
    "format": f"input image cannot be decoded: the format {{}} is not supported; supported formats: {', '.join(FORMATS)}",
    "damaged": "input image cannot be decoded: the {} file is damaged or incomplete",
    "not_an_image": f"input image cannot be decoded: not an image file; supported formats: {', '.join(FORMATS)}",
}
TEXTURE_SHARE = 1 / 64  # blur radius of remove_texture, as a share of the longer side

ResizeMode = Literal["stretch", "crop", "fill"]
Size = tuple[int, int]  # width, height


class InvalidImage(ValueError):
    """An input image cannot be used. The message is safe to show to clients."""


def read(data: bytes, background: str = "white") -> Image.Image:
    """Decode the first frame to RGB. EXIF orientation is applied; ``background`` replaces transparency.

    Raises InvalidImage.
    """
    return flatten(open_image(data), background)


def open_image(data: bytes) -> Image.Image:
    """Decode the first frame: RGBA if it has transparency, else RGB or L. EXIF orientation is applied.

    Raises InvalidImage for unknown formats, damaged files, and more than MAX_PIXELS pixels.
    """
    try:
        return image_files.open_image(data)
    except UnusableImage as error:
        raise InvalidImage(REASONS[error.reason].format(error.found)) from error


def resize(image: Image.Image, width: int, height: int, mode: ResizeMode) -> Image.Image:
    """Resize with Lanczos to (width, height).

    "stretch" ignores the aspect ratio, "crop" cuts the excess, "fill" pads with the stretched edge pixels: the resize modes
    0, 1 and 2 of A1111, to the pixel.
    """
    size = (width, height)
    if image.size == size:
        return image
    if mode == "stretch":
        return image.resize(size, Image.Resampling.LANCZOS)
    scaled, (left, top) = placement(image.size, width, height, covers=mode == "crop")
    image = image.resize(scaled, Image.Resampling.LANCZOS)
    frame = Image.new(image.mode, size)
    frame.paste(image, (left, top))
    right, bottom = left + image.width, top + image.height
    bars = (  # where an edge of the image, a box without area, is stretched to
        ((0, 0, 0, image.height), (0, 0, left, height)),
        ((image.width, 0, image.width, image.height), (right, 0, width, height)),
        ((0, 0, image.width, 0), (0, 0, width, top)),
        ((0, image.height, image.width, image.height), (0, bottom, width, height)),
    )
    for edge, (x, y, end_x, end_y) in bars:
        if end_x > x and end_y > y:
            frame.paste(image.resize((end_x - x, end_y - y), box=edge), (x, y))
    return frame


def remove_texture(image: Image.Image) -> Image.Image:
    """Return a blurred image that keeps colors and large shapes only."""
    return image.filter(ImageFilter.GaussianBlur(max(image.size) * TEXTURE_SHARE))


def cover_size(size: Size, width: int, height: int) -> Size:
    """Return the smallest size with the same aspect ratio that covers (width, height)."""
    if size[0] * height < size[1] * width:
        return width, max(height, width * size[1] // size[0])
    return max(width, height * size[0] // size[1]), height


def center_crop(image: Image.Image, width: int, height: int) -> Image.Image:
    """Crop to (width, height) around the center."""
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def limit_pixels(image: Image.Image, pixels: int) -> Image.Image:
    """Shrink the image, if needed, to at most ``pixels`` pixels, keeping the aspect ratio."""
    share = (pixels / (image.width * image.height)) ** 0.5
    if share >= 1:
        return image
    size = max(1, int(image.width * share)), max(1, int(image.height * share))
    return image.resize(size, Image.Resampling.LANCZOS)


def to_tensor(image: Image.Image) -> Tensor:
    """Return a float32 tensor (3, height, width) with values from -1 to 1."""
    import torch

    pixels = torch.from_numpy(np.array(image, dtype=np.float32))
    return pixels.permute(2, 0, 1) / 127.5 - 1


def from_tensor(pixels: Tensor) -> Image.Image:
    """Convert a tensor (3, height, width) with values from -1 to 1 to an RGB image. Values outside are clamped."""
    levels = (pixels.float().clamp(-1, 1) * 127.5 + 127.5).round().byte()
    return Image.fromarray(levels.permute(1, 2, 0).cpu().contiguous().numpy())


def png(image: Image.Image) -> bytes:
    """Encode as PNG, with low compression: the platform encodes it again with metadata."""
    return _encode(image, "PNG", compress_level=1)


def preview(pixels: Tensor) -> bytes:
    """Encode a preview as a small JPEG. ``pixels`` is (3, h, w) at latent resolution, from -1 to 1."""
    return small_jpeg(from_tensor(pixels))


def small_jpeg(image: Image.Image) -> bytes:
    """Encode as a JPEG whose longer side has PREVIEW_SIDE pixels."""
    scale = PREVIEW_SIDE / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return _encode(image.resize((width, height), Image.Resampling.BICUBIC), "JPEG", quality=75)


def _encode(image: Image.Image, file_format: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()
