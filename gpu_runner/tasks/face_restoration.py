"""The faces of a finished picture, drawn anew by a network that knows nothing but faces, and pasted back over themselves."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image
from torch import Tensor

from gpu_runner.imaging import images
from gpu_runner.imaging.face_alignment import Alignment
from gpu_runner.imaging.face_detection import FaceDetector, find
from gpu_runner.networks.loaded import LoadedFaceRestorer
from gpu_runner.networks.operations import OffloadedWork, Operation, RestoreFace


@dataclass(frozen=True, eq=False)
class Patches:
    """Restored squares and where they belong. Pasting needs no device: it is left for those who write the file."""

    patches: tuple[tuple[Alignment, Tensor], ...] = ()
    visibility: float = 1.0

    def over(self, picture: Image.Image) -> Image.Image:
        """The same picture where there are none."""
        if not self.patches:
            return picture
        restored = picture.copy()
        for alignment, pixels in self.patches:
            alignment.paste(images.from_tensor(pixels), restored, self.visibility)
        return restored


@dataclass(frozen=True, eq=False)
class Restoration:
    detector: FaceDetector
    restorer: LoadedFaceRestorer
    visibility: float

    def patches(self, picture: Image.Image) -> Generator[Operation | OffloadedWork, Any, Patches]:
        """Every face is cut from the picture as it is, so that neighbours do not see each other restored."""
        found = []
        for alignment, square in (yield OffloadedWork(partial(_squares, self.detector, picture))):
            restored = yield RestoreFace(self.restorer, square)
            found.append((alignment, restored.cpu()))
        return Patches(tuple(found), self.visibility)


def _squares(detector: FaceDetector, picture: Image.Image) -> list[tuple[Alignment, Tensor]]:
    alignments = [Alignment.of(face.points) for face in find(detector, picture)]
    return [(alignment, images.to_tensor(alignment.cut(picture))) for alignment in alignments]
