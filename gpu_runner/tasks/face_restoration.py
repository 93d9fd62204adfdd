"""Face restoration of a finished image: detect faces, restore each crop, paste it back."""

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
    """Restored face crops with their alignments. They are pasted on the thread that writes the file."""

    patches: tuple[tuple[Alignment, Tensor], ...] = ()
    visibility: float = 1.0

    def over(self, image: Image.Image) -> Image.Image:
        """Return a copy with the patches pasted, or the image itself if there are none."""
        if not self.patches:
            return image
        restored = image.copy()
        for alignment, pixels in self.patches:
            alignment.paste(images.from_tensor(pixels), restored, self.visibility)
        return restored


@dataclass(frozen=True, eq=False)
class Restoration:
    """Face detector, restorer network and blend weight (0 to 1)."""

    detector: FaceDetector
    restorer: LoadedFaceRestorer
    visibility: float

    def patches(self, image: Image.Image) -> Generator[Operation | OffloadedWork, Any, Patches]:
        """Detect and restore all faces. Each crop is taken from the unrestored image."""
        found = []
        for alignment, square in (yield OffloadedWork(partial(_aligned_faces, self.detector, image))):
            restored = yield RestoreFace(self.restorer, square)
            found.append((alignment, restored.cpu()))
        return Patches(tuple(found), self.visibility)


def _aligned_faces(detector: FaceDetector, image: Image.Image) -> list[tuple[Alignment, Tensor]]:
    alignments = [Alignment.of(face.points) for face in find(detector, image)]
    return [(alignment, images.to_tensor(alignment.cut(image))) for alignment in alignments]
