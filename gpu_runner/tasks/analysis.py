"""The task analyze: faces and NSFW verdict of init images. The results are data, not images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PIL import Image

from gpu_runner.imaging import face_detection
from gpu_runner.imaging.face_detection import Face, FaceDetector
from gpu_runner.imaging.nsfw import NsfwCheck
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.onnx_model import OnnxModel
from gpu_runner.networks.operations import Operation
from gpu_runner.protocol import Analysis, Finding, RunRequest
from gpu_runner.protocol.findings import FacesFound, FoundFace, NsfwFound

from .denoising_loop import StopFlag
from .generation import Examination, Task

Find = Callable[[Image.Image], Finding]


@dataclass(frozen=True)
class AnalysisPlan:
    """Plan that applies one detector to each image."""

    images: tuple[Image.Image, ...]
    find: Find
    steps: int = 1  # per image

    def begin(self, index: int, stop_flag: StopFlag) -> Task:
        return _examined(Examination(self.images[index], self.find))


def _examined(examination: Examination) -> Task:
    operations: Iterable[Operation] = ()
    yield from operations
    return examination


def finder(store: ModelStore, run_request: RunRequest, analysis: Analysis) -> Find:
    """Load the detector of the analysis. Raises ModelUnavailable."""
    file = run_request.file(analysis.model_kind, analysis.model)
    if analysis.find == "faces":
        detector = store.onnx.face_detector(file)
        return lambda image: faces(detector, image, analysis.threshold)
    model = store.onnx.get(file, analysis.model_kind)
    return lambda image: nsfw_verdict(model, image, analysis.threshold)


def faces(detector: FaceDetector, image: Image.Image, threshold: float | None) -> FacesFound:
    """Return the faces of the image with at least this score; None: the detector's default."""
    min_score = face_detection.MIN_SCORE if threshold is None else threshold
    found = face_detection.find(detector, image, min_score)
    return FacesFound(width=image.width, height=image.height, faces=tuple(map(_face, found)))


def _face(face: Face) -> FoundFace:
    box, landmarks = face.box.round(2).tolist(), face.points.round(2).tolist()
    return FoundFace(score=_fraction(face.score), box=tuple(box), landmarks=tuple(map(tuple, landmarks)))


def nsfw_verdict(model: OnnxModel, image: Image.Image, threshold: float | None) -> NsfwFound:
    """Return the verdict on the image, for this threshold or the detector's default for None."""
    check = NsfwCheck.of(model, "flag", threshold)
    _unchanged, verdict = check.apply(image)
    return NsfwFound(detected=verdict.detected, score=_fraction(verdict.score), threshold=check.threshold)


def _fraction(score: float) -> float:
    """Round a score, and limit it to 0 to 1, which rounding in a network may exceed."""
    return min(1.0, max(0.0, round(score, 4)))
