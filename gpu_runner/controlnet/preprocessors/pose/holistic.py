"""MediaPipe Holistic: people in an image by a detector, then the key points of body, hands and face in rotated crops.

The steps, thresholds and factors are those of MediaPipe's graphs (Apache-2.0) in mediapipe/modules: pose_detection,
pose_landmark, holistic_landmark, hand_landmark, face_detection and face_landmark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import pi

import numpy as np
import torch
from torch import nn

from gpu_runner.controlnet.preprocessors.arrays import Numbers, Pixels

from . import anchors, key_points
from .anchors import Detection
from .regions import Region, angle_of, bounding, distance

MIN_SCORE = 0.5  # of detections, and of the presence of body, hand and face in a crop
MIN_HAND_IN_ARM = 0.1  # presence of a hand in the region that follows from the arm, which is less exact
MAX_PEOPLE = 10
UPWARDS = pi / 2
BODY_SIDE, HAND_SIDE, FACE_SIDE = 256, 224, 192
POSE_SIDE, POSE_STRIDES = 224, (8, 16, 32, 32, 32)
FACE_DETECTION_SIDE, FACE_STRIDES = 128, (8, 16, 16, 16)
BODY_VALUES = 5  # x, y, z, visibility, presence
FACE_LANDMARKS = slice(0, 11)  # of a body
SIDES_OF_BODY, FACE_TO_BODY = (
    6.0,
    1.5,
)  # region below a face: its side and the way down to its center, in faces
HEAT_RADIUS, MIN_HEAT = 3, 0.5
LEFT_HAND, RIGHT_HAND = (15, 17, 19), (16, 18, 20)  # wrist, little finger and index finger of a body
PALM = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)  # points of a hand that determine its region


class Holistic(nn.Module):
    """The five networks."""

    def __init__(self, networks: dict[str, nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(networks)
        self._pose_anchors = anchors.grid(POSE_SIDE, POSE_STRIDES)
        self._face_anchors = anchors.grid(FACE_DETECTION_SIDE, FACE_STRIDES)

    def run(self, name: str, crop: Pixels, low: float = 0.0) -> dict[str, Numbers]:
        """Outputs of a network for pixels, scaled from ``low`` to 1."""
        device = next(self.networks[name].buffers()).device
        image = torch.from_numpy(crop.astype(np.float32) / 255 * (1 - low) + low)[None].to(device)
        return {key: value[0].cpu().numpy() for key, value in self.networks[name](image).items()}

    def poses(self, region: Region, pixels: Pixels) -> list[Detection]:
        outputs = self.run("pose_detection", region.crop(pixels, POSE_SIDE), -1.0)
        logits = outputs["Identity_1"].ravel()
        return anchors.detections(logits, outputs["Identity"], self._pose_anchors, POSE_SIDE, MIN_SCORE)

    def faces(self, region: Region, pixels: Pixels, min_score: float) -> list[Detection]:
        outputs = self.run("face_detection", region.crop(pixels, FACE_DETECTION_SIDE), -1.0)
        logits, offsets = outputs["classificators"].ravel(), outputs["regressors"]
        return anchors.detections(logits, offsets, self._face_anchors, FACE_DETECTION_SIDE, min_score)


@dataclass(frozen=True, eq=False)
class Body:
    """33 points of a body in pixels (33, 2), and their visibility from 0 to 1."""

    points: Numbers
    visibility: Numbers


@dataclass(frozen=True, eq=False)
class DetectedFace:
    """Box (left, top, right, bottom) in pixels, and the angle of the line between the eyes."""

    score: float
    box: Numbers
    angle: float

    def contains(self, point: Numbers) -> bool:
        return bool(((point >= self.box[:2]) & (point <= self.box[2:])).all())

    @property
    def upright(self) -> Region:
        x, y = (self.box[:2] + self.box[2:]) / 2
        return Region(x, y, float((self.box[2:] - self.box[:2]).max()))

    @property
    def turned(self) -> Region:
        return replace(self.upright, angle=self.angle)


@dataclass(frozen=True, eq=False)
class Person:
    """Key points of OpenPose in pixels (n, 2), NaN where there is none; None: not looked for, or not found."""

    body: Numbers | None = None
    left_hand: Numbers | None = None
    right_hand: Numbers | None = None
    face: Numbers | None = None


@dataclass(eq=False)
class Found:
    """A person while the parts are being found."""

    body: Body | None = None
    hands: list[Numbers | None] = field(default_factory=lambda: [None, None])
    mesh: Numbers | None = None


def people(network: Holistic, pixels: Pixels, *, hands: bool, faces: bool) -> list[Person]:
    """The people of an image, at most MAX_PEOPLE. With ``faces``, also people of whom only the face is visible."""
    found = [Found(body) for body in bodies(network, pixels)]
    if hands:
        for person in found:
            person.hands = [_hand(network, pixels, person.body, side) for side in (LEFT_HAND, RIGHT_HAND)]
    if faces:
        _add_faces(network, pixels, found)
    return [_person(one, pixels.shape[1::-1]) for one in found]


def _person(found: Found, size: tuple[int, int]) -> Person:
    body, mesh = found.body, found.mesh
    left, right = (None if hand is None else key_points.inside(hand, size) for hand in found.hands)
    return Person(
        None if body is None else key_points.body(body.points, body.visibility, size),
        left,
        right,
        None if mesh is None else key_points.face(mesh, size),
    )


def bodies(network: Holistic, pixels: Pixels) -> list[Body]:
    """The bodies in the image, and those below faces that it does not show: its detector prefers a single person."""
    found = _bodies_in(network, pixels, Region.around(pixels))
    for face in _faces_in(network, pixels, [Region.around(pixels)], MIN_SCORE):
        if not any(face.contains(body.points[0]) for body in found):
            near = _bodies_in(network, pixels, face.upright.scaled(SIDES_OF_BODY, FACE_TO_BODY))
            found += [body for body in near if face.contains(body.points[0])][:1]
    return found[:MAX_PEOPLE]


def _bodies_in(network: Holistic, pixels: Pixels, frame: Region) -> list[Body]:
    found = []
    for detection in network.poses(frame, pixels)[:MAX_PEOPLE]:
        hips, extent = frame.in_image(detection.points)[:2]
        region = Region(hips[0], hips[1], 2 * distance(hips, extent), angle_of(hips, extent, UPWARDS)).scaled(
            1.25
        )
        if body := _body(network, pixels, region):
            found.append(body)
    return found


def _body(network: Holistic, pixels: Pixels, region: Region) -> Body | None:
    outputs = network.run("pose_landmark", region.crop(pixels, BODY_SIDE))
    if outputs["Identity_1"].item() < MIN_SCORE:
        return None
    values = outputs["Identity"].reshape(-1, BODY_VALUES)
    points = _refined(values[:, :2] / BODY_SIDE, outputs["Identity_3"])[:33]
    return Body(region.in_image(points), 1 / (1 + np.exp(-values[:33, 3])))


def _refined(points: Numbers, heat: Numbers) -> Numbers:
    """Points (n, 2) moved to the center of the heat around them. ``heat``: logits (height, width, n)."""
    height, width = heat.shape[:2]
    refined = points.copy()
    for index, (x, y) in enumerate(points):
        column, row = int(x * width), int(y * height)
        if not (0 <= column < width and 0 <= row < height):
            continue
        top, left = max(0, row - HEAT_RADIUS), max(0, column - HEAT_RADIUS)
        part = heat[top : row + HEAT_RADIUS + 1, left : column + HEAT_RADIUS + 1, index]
        weights = 1 / (1 + np.exp(-part))
        if weights.max() < MIN_HEAT:
            continue
        rows, columns = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]]
        total = weights.sum()
        refined[index] = (columns * weights).sum() / total / width, (rows * weights).sum() / total / height
    return refined


def _hand(network: Holistic, pixels: Pixels, body: Body | None, numbers: Sequence[int]) -> Numbers | None:
    """21 points (21, 2). The region of the arm gives a first estimate, whose own region gives the result."""
    if body is None or body.visibility[numbers[0]] < MIN_HAND_IN_ARM:
        return None
    wrist, little, index = body.points[list(numbers)]
    middle = (2 * index + little) / 3
    region = Region(
        middle[0], middle[1], 2 * distance(wrist, middle), angle_of(wrist, middle, UPWARDS)
    ).scaled(2.7, -0.1)
    first, presence = _hand_in(network, pixels, region)
    if presence < MIN_HAND_IN_ARM:
        return None
    knuckles = ((first[5] + first[13]) / 2 + first[9]) / 2
    region = bounding(first[list(PALM)], angle_of(first[0], knuckles, UPWARDS)).scaled(2.0, -0.1)
    points, presence = _hand_in(network, pixels, region)
    return points if presence >= MIN_SCORE else None


def _hand_in(network: Holistic, pixels: Pixels, region: Region) -> tuple[Numbers, float]:
    outputs = network.run("hand_landmark", region.crop(pixels, HAND_SIDE))
    points = outputs["Identity"].reshape(-1, 3)[:, :2] / HAND_SIDE
    return region.in_image(points), float(outputs["Identity_1"].item())


def _add_faces(network: Holistic, pixels: Pixels, found: list[Found]) -> None:
    """Give the faces to the people whose noses they contain; the others become people of their own."""
    heads = [_head(person.body) for person in found if person.body]
    for mesh in face_meshes(network, pixels, heads=heads):
        low, high = mesh.min(0), mesh.max(0)
        noses = [person.body.points[0] if person.body else low - 1 for person in found]
        owners = [
            person
            for person, nose in zip(found, noses, strict=True)
            if person.mesh is None and ((nose >= low) & (nose <= high)).all()
        ]
        if owners:
            owners[0].mesh = mesh
        elif len(found) < MAX_PEOPLE:
            found.append(Found(mesh=mesh))


def _head(body: Body) -> Region:
    """Region in which the face of a body is looked for."""
    return bounding(body.points[FACE_LANDMARKS], 0.0).scaled(3.0)


def face_meshes(
    network: Holistic,
    pixels: Pixels,
    *,
    heads: Sequence[Region] = (),
    limit: int = MAX_PEOPLE,
    min_score: float = MIN_SCORE,
) -> list[Numbers]:
    """Meshes (468, 2) of the faces in the image and in the regions of heads, where small faces are found too."""
    faces = _faces_in(network, pixels, [Region.around(pixels), *heads], min_score)
    meshes = (_mesh(network, pixels, face.turned.scaled(1.5)) for face in faces)
    return [mesh for mesh in meshes if mesh is not None][:limit]


def _faces_in(
    network: Holistic, pixels: Pixels, regions: Sequence[Region], min_score: float
) -> list[DetectedFace]:
    """Faces by descending score, each once."""
    faces = [
        _face(region, detection)
        for region in regions
        for detection in network.faces(region, pixels, min_score)
    ]
    kept: list[DetectedFace] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if (
            not kept
            or anchors.iou(face.box, np.stack([other.box for other in kept])).max() <= anchors.MIN_IOU
        ):
            kept.append(face)
    return kept


def _face(region: Region, detection: Detection) -> DetectedFace:
    box = region.in_image(detection.box.reshape(2, 2)).ravel()
    right_eye, left_eye = region.in_image(detection.points)[:2]
    return DetectedFace(detection.score, box, angle_of(right_eye, left_eye, 0.0))


def _mesh(network: Holistic, pixels: Pixels, region: Region) -> Numbers | None:
    outputs = network.run("face_landmark", region.crop(pixels, FACE_SIDE))
    if outputs["conv2d_31"].item() < 0:  # a logit: the probability is below one half
        return None
    return region.in_image(outputs["conv2d_21"].reshape(-1, 3)[:, :2] / FACE_SIDE)
