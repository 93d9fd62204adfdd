"""Is a finished picture unfit to be shown, and what becomes of it then."""

from __future__ import annotations

import ast
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from gpu_runner.networks.onnx_model import Array, OnnxModel
from gpu_runner.protocol.generation_request import NsfwPolicy

BLUR_SHARE = 1 / 16  # of the longer side: nothing finer is left to see
BGR_MEAN = (104.0, 117.0, 123.0)  # of the pictures that open_nsfw was trained with
UNFIT_CLASSES = (
    "FEMALE_BREAST_EXPOSED",
    "FEMALE_GENITALIA_EXPOSED",
    "MALE_GENITALIA_EXPOSED",
    "BUTTOCKS_EXPOSED",
    "ANUS_EXPOSED",
)
# Above which a score counts. open_nsfw's is its authors' advice.
THRESHOLDS = {"open_nsfw": 0.8, "nudenet": 0.45}


class NsfwDetected(Exception):
    """The picture may not be given to anybody."""


@dataclass(frozen=True)
class Verdict:
    unfit: bool
    score: float  # from 0, harmless, to 1


@dataclass(frozen=True)
class Check:
    """What a job's pictures go through before they leave."""

    detector: OnnxModel
    policy: NsfwPolicy
    threshold: float

    @classmethod
    def of(cls, detector: OnnxModel, policy: NsfwPolicy, threshold: float | None) -> Check:
        own = THRESHOLDS[detector.detail["model"]]
        return cls(detector, policy, own if threshold is None else threshold)

    def pass_on(self, picture: Image.Image) -> tuple[Image.Image, Verdict]:
        """The picture as it may be shown. Raises Unfit where it may not be shown at all."""
        found = score(self.detector, picture)
        verdict = Verdict(found >= self.threshold, found)
        return (treat(picture, self.policy) if verdict.unfit else picture), verdict


def treat(picture: Image.Image, policy: NsfwPolicy) -> Image.Image:
    """What the policy makes of an unfit picture."""
    match policy:
        case "refuse":
            raise NsfwDetected
        case "blank":
            return Image.new(picture.mode, picture.size)
        case "blur":
            return picture.filter(ImageFilter.GaussianBlur(max(picture.size) * BLUR_SHARE))
        case _:
            return picture


def score(detector: OnnxModel, picture: Image.Image) -> float:
    return SCORES[detector.detail["model"]](detector, picture.convert("RGB"))


def _open_nsfw(detector: OnnxModel, picture: Image.Image) -> float:
    """As https://github.com/yahoo/open_nsfw feeds it: through JPEG, the middle of 256², BGR, less the mean."""
    file = io.BytesIO()
    picture.resize((256, 256), Image.Resampling.BILINEAR).save(file, "JPEG")
    middle = np.asarray(Image.open(file).convert("RGB"), np.float32)[16:240, 16:240]
    return float(detector.run((middle[:, :, ::-1] - np.array(BGR_MEAN, np.float32))[None])[0, 1])


def _nudenet(detector: OnnxModel, picture: Image.Image) -> float:
    """The surest sight of any unfit class, wherever it is."""
    names = ast.literal_eval(detector.header.metadata["names"])
    rows = [
        4 + number for number, name in names.items() if name in UNFIT_CLASSES
    ]  # after x, y, width, height
    return float(detector.run(_letterboxed(picture, 320))[0][rows].max())


def _letterboxed(picture: Image.Image, side: int) -> Array:
    longest = max(picture.size)
    square = Image.new("RGB", (longest, longest))
    square.paste(picture)
    pixels = np.asarray(square.resize((side, side), Image.Resampling.BILINEAR), np.float32) / np.float32(255)
    return pixels.transpose(2, 0, 1)[None].copy()


SCORES = {"open_nsfw": _open_nsfw, "nudenet": _nudenet}
