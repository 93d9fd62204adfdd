"""The task analyze: faces, tags or NSFW verdict of init images. The results are data; so are the poses of a control map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from PIL import Image

from gpu_runner.imaging import face_detection
from gpu_runner.imaging.face_detection import Face, FaceDetector
from gpu_runner.imaging.nsfw import NsfwCheck
from gpu_runner.imaging.tagging import find_tags
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.onnx_model import OnnxModel
from gpu_runner.networks.operations import Operation
from gpu_runner.protocol import Analysis, Finding, RunRequest
from gpu_runner.protocol.findings import FacesFound, FoundFace, NsfwFound

from .denoising_loop import StopFlag
from .generation import Examination, Task

Find = Callable[[Image.Image], Finding]
CropsOf = Callable[[Image.Image, Finding], Sequence[Image.Image]]
CROP_MARGIN = 0.2  # of the face's width and height, on each side


@dataclass(frozen=True)
class AnalysisPlan:
    """Plan that applies one detector to each image."""

    images: tuple[Image.Image, ...]
    find: Find
    crops_of: CropsOf | None = None  # images that are sent beside the finding
    steps: int = 1  # per image

    def begin(self, index: int, stop_flag: StopFlag) -> Task:
        image = self.images[index if len(self.images) > 1 else 0]
        return _examined(Examination(image, self.find, self.crops_of))


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
    if analysis.find == "tags":
        tagger = store.onnx.tagger(file)
        return lambda image: find_tags(tagger, image, analysis.threshold, analysis.character_threshold)
    model = store.onnx.get(file, analysis.model_kind)
    return lambda image: nsfw_verdict(model, image, analysis.threshold)


def faces(detector: FaceDetector, image: Image.Image, threshold: float | None) -> FacesFound:
    """Return the faces of the image with at least this score; None: the detector's default."""
    min_score = face_detection.MIN_SCORE if threshold is None else threshold
    found = face_detection.find(detector, image, min_score)
    return FacesFound(width=image.width, height=image.height, faces=tuple(map(_face, found)))


def face_crops(image: Image.Image, finding: Finding) -> list[Image.Image]:
    """Return an image of each face, with a margin, in the order of the finding."""
    found = finding.faces if isinstance(finding, FacesFound) else ()
    return [image.crop(_with_margin(face.box, image.size)) for face in found]


def _with_margin(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the box with CROP_MARGIN on each side, inside of the image; it has a pixel at least."""
    left, top, right, bottom = box
    across, down = (right - left) * CROP_MARGIN, (bottom - top) * CROP_MARGIN
    x = min(max(0, round(left - across)), size[0] - 1)
    y = min(max(0, round(top - down)), size[1] - 1)
    return (
        x,
        y,
        max(x + 1, min(size[0], round(right + across))),
        max(y + 1, min(size[1], round(bottom + down))),
    )


def _face(face: Face) -> FoundFace:
    box, landmarks = face.box.round(2).tolist(), face.points.round(2).tolist()
    return FoundFace.model_validate({"score": _fraction(face.score), "box": box, "landmarks": landmarks})


def nsfw_verdict(model: OnnxModel, image: Image.Image, threshold: float | None) -> NsfwFound:
    """Return the verdict on the image, for this threshold or the detector's default for None."""
    check = NsfwCheck.of(model, "flag", threshold)
    _unchanged, verdict = check.apply(image)
    return NsfwFound(detected=verdict.detected, score=_fraction(verdict.score), threshold=check.threshold)


def _fraction(score: float) -> float:
    """Round a score, and limit it to 0 to 1, which rounding in a network may exceed."""
    return min(1.0, max(0.0, round(score, 4)))
