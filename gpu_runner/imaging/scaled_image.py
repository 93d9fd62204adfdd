"""An image and its pixels in several sizes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from PIL import Image

from . import images

if TYPE_CHECKING:
    from torch import Tensor

Size = tuple[int, int]  # width and height in pixels


class ScaledImage:
    """Resizes an image once for each size, so that all outputs of a request share the pixels."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self._pixels: dict[Size, Tensor] = {}
        self._digests: dict[Size, str] = {}

    def pixels(self, size: Size) -> Tensor:
        """Pixels of (3, height, width), from -1 to 1."""
        if size not in self._pixels:
            image = self.image if self.image.size == size else images.resize(self.image, *size, "stretch")
            self._pixels[size] = images.to_tensor(image)
        return self._pixels[size]

    def digest(self, size: Size) -> str:
        """Hash of the pixels."""
        if size not in self._digests:
            data = self.pixels(size).contiguous().numpy().tobytes()
            self._digests[size] = hashlib.sha256(f"{size}".encode() + data).hexdigest()
        return self._digests[size]
