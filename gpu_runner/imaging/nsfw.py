"""NSFW check of an output, and the policy applied to it: flag, blur, blank or refuse."""

from __future__ import annotations

import ast
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from gpu_runner.imaging import images
from gpu_runner.networks.onnx_model import Array, OnnxModel
from gpu_runner.protocol.request_parts.outputs import NsfwPolicy

BLUR_SHARE = 1 / 16  # blur radius, as a share of the longer side
BGR_MEAN = (104.0, 117.0, 123.0)  # of open_nsfw's training data
NSFW_CLASSES = (
    "FEMALE_BREAST_EXPOSED",
    "FEMALE_GENITALIA_EXPOSED",
    "MALE_GENITALIA_EXPOSED",
    "BUTTOCKS_EXPOSED",
    "ANUS_EXPOSED",
)
# Default thresholds. That of open_nsfw is recommended by its authors.
THRESHOLDS = {"open_nsfw": 0.8, "nudenet": 0.45}


class NsfwDetected(Exception):
    """The policy "refuse" applies: the image must not be returned."""


@dataclass(frozen=True)
class NsfwVerdict:
    """Result of the check of one image."""

    detected: bool
    score: float  # from 0 (safe) to 1


@dataclass(frozen=True)
class NsfwCheck:
    """Detector, policy and threshold of a job."""

    detector: OnnxModel
    policy: NsfwPolicy
    threshold: float

    @classmethod
    def of(cls, detector: OnnxModel, policy: NsfwPolicy, threshold: float | None) -> NsfwCheck:
        """Return a check with this threshold, or the detector's default for None."""
        own = THRESHOLDS[detector.detail["model"]]
        return cls(detector, policy, own if threshold is None else threshold)

    def apply(self, image: Image.Image) -> tuple[Image.Image, NsfwVerdict]:
        """Return the image after the policy, and the verdict. Raises NsfwDetected with the policy "refuse"."""
        found = score(self.detector, image)
        verdict = NsfwVerdict(found >= self.threshold, found)
        return (apply_policy(image, self.policy) if verdict.detected else image), verdict


def apply_policy(image: Image.Image, policy: NsfwPolicy) -> Image.Image:
    """Return a detected image after the policy. Raises NsfwDetected with the policy "refuse"."""
    match policy:
        case "refuse":
            raise NsfwDetected
        case "blank":
            return Image.new(image.mode, image.size)
        case "blur":
            return image.filter(ImageFilter.GaussianBlur(max(image.size) * BLUR_SHARE))
        case _:
            return image


def score(detector: OnnxModel, image: Image.Image) -> float:
    """Return the NSFW score of an image, from 0 to 1."""
    return SCORES[detector.detail["model"]](detector, image.convert("RGB"))


def _open_nsfw(detector: OnnxModel, image: Image.Image) -> float:
    """Preprocess as https://github.com/yahoo/open_nsfw: JPEG at 256 x 256, center crop of 224, BGR minus the mean."""
    file = io.BytesIO()
    image.resize((256, 256), Image.Resampling.BILINEAR).save(file, "JPEG")
    middle = np.asarray(images.read(file.getvalue()), np.float32)[16:240, 16:240]
    return float(detector.run((middle[:, :, ::-1] - np.array(BGR_MEAN, np.float32))[None])[0, 1])


def _nudenet(detector: OnnxModel, image: Image.Image) -> float:
    """Return the highest confidence of any NSFW class in any box."""
    names = ast.literal_eval(detector.header.metadata["names"])
    # Rows 0 to 3 are x, y, width, height.
    rows = [4 + number for number, name in names.items() if name in NSFW_CLASSES]
    return float(detector.run(_letterboxed(image, 320))[0][rows].max())


def _letterboxed(image: Image.Image, side: int) -> Array:
    longest = max(image.size)
    square = Image.new("RGB", (longest, longest))
    square.paste(image)
    pixels = np.asarray(square.resize((side, side), Image.Resampling.BILINEAR), np.float32) / np.float32(255)
    return pixels.transpose(2, 0, 1)[None].copy()


SCORES = {"open_nsfw": _open_nsfw, "nudenet": _nudenet}
