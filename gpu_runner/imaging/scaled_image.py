"""An image and its pixels in several sizes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from PIL import Image

from . import images

if TYPE_CHECKING:
    from torch import Tensor

Size = tuple[int, int]  # width and height in pixels
# Of the first size, and of the second, in which a text encoder takes what its pipeline has resized.
FILTERS = (Image.Resampling.LANCZOS, Image.Resampling.BICUBIC)


class ScaledImage:
    """Resizes an image once for each size, so that all outputs of a request share the pixels."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self._pixels: dict[tuple[Size, ...], Tensor] = {}
        self._digests: dict[tuple[Size, ...], str] = {}

    def pixels(self, *sizes: Size) -> Tensor:
        """Pixels of (3, height, width), from -1 to 1, resized to one size after another."""
        if sizes not in self._pixels:
            image = self.image
            for number, size in enumerate(sizes):
                if image.size != size:
                    image = image.resize(size, FILTERS[number])
            self._pixels[sizes] = images.to_tensor(image)
        return self._pixels[sizes]

    def digest(self, *sizes: Size) -> str:
        """Hash of the pixels."""
        if sizes not in self._digests:
            data = self.pixels(*sizes).contiguous().numpy().tobytes()
            self._digests[sizes] = hashlib.sha256(f"{sizes}".encode() + data).hexdigest()
        return self._digests[sizes]
