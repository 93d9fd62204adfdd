"""Preprocessors openpose, openpose_face, openpose_faceonly, openpose_hand and openpose_full: stick figures of people."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import nn

from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.networks.tflite.graph import read_graph
from gpu_runner.networks.tflite.network import TfliteNetwork
from gpu_runner.protocol.findings import FoundPerson, PosesFound
from gpu_runner.protocol.images.pose_drawing import BODY_POINTS, draw_person
from gpu_runner.protocol.model_detection.safetensors_models import HOLISTIC_NETWORKS

from .arrays import Numbers, Pixels
from .pose import holistic
from .pose.holistic import Holistic, Person


@dataclass(frozen=True)
class Parts:
    """Parts of people that a module draws."""

    body: bool = True
    hands: bool = False
    face: bool = False


PARTS = {
    "openpose": Parts(),
    "openpose_face": Parts(face=True),
    "openpose_faceonly": Parts(body=False, face=True),
    "openpose_hand": Parts(hands=True),
    "openpose_full": Parts(hands=True, face=True),
}
# SHA-256 of the networks in @mediapipe/holistic 0.5.1675471629. Others have other outputs, and may be malformed.
SHA256 = {
    "pose_detection": "a63c614bef30d35947f13be361820b1e4e3bec9cfeebf4d11216a18373108e85",
    "pose_landmark": "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    "hand_landmark": "8c026882c9ec059ce0f8e75266bee5a9a23c341a40e0000df755374d3d1b9b68",
    "face_detection": "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
    "face_landmark": "c603fa6149219a3e9487dc9abd7a0c24474c77263273d24868378cdf40aa26d1",
}


def build(file: TensorFile) -> nn.Module:
    """Return the networks of a file. Raises ValueError if they are not those of MediaPipe Holistic."""
    networks: dict[str, nn.Module] = {}
    for name in HOLISTIC_NETWORKS:
        data = file[f"{name}.tflite"].numpy().tobytes()
        if hashlib.sha256(data).hexdigest() != SHA256[name]:
            raise ValueError(f"{name}.tflite is not that of MediaPipe Holistic")
        networks[name] = TfliteNetwork(read_graph(data))
    return Holistic(networks)


@torch.inference_mode()
def find(module: str, network: nn.Module, pixels: Pixels) -> PosesFound:
    """Return the people with the parts that the module draws; people without any of them are left out."""
    assert isinstance(network, Holistic)
    parts = PARTS[module]
    found = holistic.people(network, pixels, hands=parts.hands, faces=parts.face)
    people = tuple(_person(person, parts) for person in found)
    height, width = pixels.shape[:2]
    return PosesFound(width=width, height=height, people=tuple(filter(_is_visible, people)))


def draw(found: PosesFound) -> Image.Image:
    """Draw the people on black."""
    canvas = Image.new("RGB", (found.width, found.height))
    for person in found.people:
        draw_person(canvas, person.body, (person.left_hand, person.right_hand), person.face)
    return canvas


def detect(module: str, network: nn.Module, pixels: Pixels) -> Pixels:
    """Return the control map."""
    return np.asarray(draw(find(module, network, pixels)))


def _person(person: Person, parts: Parts) -> FoundPerson:
    body = _points(person.body if parts.body else None) or (None,) * BODY_POINTS
    left, right = _points(person.left_hand), _points(person.right_hand)
    return FoundPerson(body=body, left_hand=left, right_hand=right, face=_points(person.face))


def _points(points: Numbers | None) -> tuple[tuple[float, float] | None, ...]:
    if points is None:
        return ()
    return tuple(None if np.isnan(x + y) else (round(float(x), 2), round(float(y), 2)) for x, y in points)


def _is_visible(person: FoundPerson) -> bool:
    return any(any(part) for part in (person.body, person.left_hand, person.right_hand, person.face))
