"""Detected regions of an image and the masks of a detail pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageChops, ImageDraw

from gpu_runner.protocol.request_parts.details import DetailPass

from .face_detection import Face, FaceDetector, find

# Half axes of an eye's ellipse, as shares of the distance between the eyes.
EYE_HALF_WIDTH, EYE_HALF_HEIGHT = 0.3, 0.18
MASKED = 127  # mask levels above this are masked

Size = tuple[int, int]
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, eq=False)
class Region:
    """A detected region: score, box in pixels, and a function that draws its mask (mode L) for an image size."""

    score: float
    box: Box
    draw: Callable[[Size], Image.Image]

    @property
    def area(self) -> float:
        left, top, right, bottom = self.box
        return max(0.0, right - left) * max(0.0, bottom - top)

    @classmethod
    def of_box(cls, score: float, box: Box) -> Region:
        return cls(score, box, partial(_rectangle, box))


Detect = Callable[[Image.Image], list[Region]]


class RegionMasks(NamedTuple):
    """Masks (mode L, 0 or 255) of the regions to inpaint, in order, and the number of regions beyond the maximum."""

    masks: list[Image.Image]
    left_out: int = 0


def face_regions(detector: FaceDetector, confidence: float, shape: str, image: Image.Image) -> list[Region]:
    return [_region_of_face(face, shape) for face in find(detector, image, confidence)]


def region_masks(
    regions: Sequence[Region], part: DetailPass, size: Size, allowed: Image.Image | None = None
) -> RegionMasks:
    """Masks of the regions of an image.

    As in ADetailer: select by area and order, shift, dilate or erode, drop empty masks, merge. Masks that do not
    touch ``allowed``, the mask of an inpainting request, are dropped too.
    """
    chosen = [
        region for region in regions if part.min_share <= region.area / (size[0] * size[1]) <= part.max_share
    ]
    by_area = part.order == "area"
    chosen.sort(key=lambda region: -(region.area if by_area else region.score))
    masks = [_processed(region.draw(size), part) for region in chosen[: part.max_regions]]
    masks = [mask for mask in masks if mask.getbbox()]
    if masks and part.merge != "none":
        merged = masks[0]
        for mask in masks[1:]:
            merged = ImageChops.lighter(merged, mask)
        masks = [ImageChops.invert(merged) if part.merge == "invert" else merged]
    left_out = max(0, len(chosen) - part.max_regions)
    if allowed is None:
        return RegionMasks(masks, left_out)
    area = allowed.convert("L").resize(size).point(lambda level: 255 * (level > MASKED))
    return RegionMasks([mask for mask in masks if ImageChops.darker(mask, area).getbbox()], left_out)


def _processed(mask: Image.Image, part: DetailPass) -> Image.Image:
    """Shift the mask, without wrapping it around the edges as ADetailer does, and dilate or erode it."""
    if part.offset_x or part.offset_y:
        moved = Image.new("L", mask.size)
        moved.paste(mask, (part.offset_x, -part.offset_y))
        mask = moved
    if not part.dilation:
        return mask
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (abs(part.dilation), abs(part.dilation)))
    apply = cv2.dilate if part.dilation > 0 else cv2.erode
    return Image.fromarray(apply(np.asarray(mask), kernel))


def _region_of_face(face: Face, shape: str) -> Region:
    left, top, right, bottom = (float(side) for side in face.box)
    box = left, top, right, bottom
    match shape:
        case "ellipse":
            return Region(face.score, box, partial(_ellipse, box))
        case "eyes":
            return Region(face.score, _box_of_eyes(face), partial(_eyes, face))
        case _:
            return Region.of_box(face.score, box)


def _rectangle(box: Box, size: Size) -> Image.Image:
    mask = Image.new("L", size)
    if box[2] >= box[0] and box[3] >= box[1]:
        ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask


def _ellipse(box: Box, size: Size) -> Image.Image:
    mask = Image.new("L", size)
    if box[2] >= box[0] and box[3] >= box[1]:
        ImageDraw.Draw(mask).ellipse(box, fill=255)
    return mask


def _eyes(face: Face, size: Size) -> Image.Image:
    """An ellipse around each eye, along the line between the eyes."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    across = face.points[1] - face.points[0]
    distance = float(np.hypot(*across))
    angle = float(np.degrees(np.arctan2(across[1], across[0])))
    axes = 2 * EYE_HALF_WIDTH * distance, 2 * EYE_HALF_HEIGHT * distance
    for x, y in face.points[:2]:
        cv2.ellipse(mask, ((float(x), float(y)), axes, angle), 255, -1)
    return Image.fromarray(mask)


def _box_of_eyes(face: Face) -> Box:
    reach = EYE_HALF_WIDTH * float(np.hypot(*(face.points[1] - face.points[0])))
    low, high = face.points[:2].min(axis=0) - reach, face.points[:2].max(axis=0) + reach
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
