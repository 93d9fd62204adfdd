"""Poses and faces in a photograph, found by MediaPipe's networks, and their control maps."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from gpu_runner.controlnet.preprocessors import network_registry, openpose
from gpu_runner.controlnet.preprocessors.pose.holistic import Person
from gpu_runner.models.files import open_tensors
from gpu_runner.protocol.catalogs.preprocessors import MODULES
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.findings import FoundPerson, PosesFound
from gpu_runner.protocol.model_detection.safetensors_models import HOLISTIC_NETWORKS, identify
from tests.support.face_files import EYES, FACE, photograph, two_of_her
from tests.support.pose_models import write_pose_models

pytestmark = pytest.mark.slow

MODULE_NAMES = ["openpose", "openpose_face", "openpose_faceonly", "openpose_hand", "openpose_full"]
SETTINGS = MODULES["openpose_full"].settings(320, None, None)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = write_pose_models(tmp_path_factory.mktemp("models") / "mediapipe_holistic.safetensors")
    with open_tensors(path, "x") as file:
        assert identify(file.shapes, file.metadata).detail == {"architecture": "MediaPipe Holistic"}
        return network_registry.load("openpose_full", file, "x")


def found_in(network, image, module="openpose_full") -> PosesFound:
    return network_registry.find_poses(MODULES[module], network, np.asarray(image), SETTINGS)


@pytest.fixture(scope="module")
def pose(network):
    return found_in(network, photograph())


def test_person_of_the_photograph_is_found(pose):
    assert (pose.width, pose.height) == (320, 320)
    [person] = pose.people
    assert [len(part) for part in (person.body, person.face)] == [18, 70]


def test_body_points_are_where_her_eyes_and_shoulders_are(pose):
    body = pose.people[0].body
    for point, eye in zip((body[14], body[15]), EYES, strict=True):
        assert np.hypot(point[0] - eye[0], point[1] - eye[1]) < 12
    assert FACE[0] < body[0][0] < FACE[2]
    assert FACE[1] < body[0][1] < FACE[3]
    right, left = body[2], body[5]
    assert right[0] < FACE[0]
    assert left[0] > FACE[2]
    assert min(right[1], left[1]) > FACE[3]
    assert body[1] == pytest.approx(((right[0] + left[0]) / 2, (right[1] + left[1]) / 2), abs=0.02)


def test_legs_outside_of_the_photograph_are_not_invented(pose):
    assert pose.people[0].body[9:11] == (None, None)
    assert pose.people[0].body[12:14] == (None, None)


def test_face_points_are_on_her_face(pose):
    face = np.array(pose.people[0].face)
    low, high = face.min(0), face.max(0)
    assert (low > np.array(FACE[:2]) - 15).all()
    assert (high < np.array(FACE[2:]) + 15).all()
    assert np.abs(face[68:] - np.array(EYES)).max() < 6  # pupils
    assert face[8, 1] == max(face[:, 1])  # chin
    assert face[36:48, 1].mean() < face[30, 1] < face[48:68, 1].mean()  # eyes, nose, mouth


def test_two_people_are_two_people(network):
    people = found_in(network, two_of_her()).people
    noses = sorted(person.body[0][0] for person in people)
    assert len(noses) == 2
    assert noses[1] - noses[0] == pytest.approx(320, abs=10)


def test_turned_photograph_has_turned_points(network, pose):
    turned = found_in(network, photograph().rotate(-30, Image.Resampling.BICUBIC)).people[0].face
    upright = np.array(pose.people[0].face)
    eyes = np.subtract(turned[69], turned[68])
    assert np.degrees(np.arctan2(eyes[1], eyes[0])) == pytest.approx(30, abs=6)
    assert np.hypot(*eyes) == pytest.approx(np.hypot(*(upright[69] - upright[68])), rel=0.15)


@pytest.mark.parametrize("module", MODULE_NAMES)
def test_image_without_people_gives_a_black_map(network, module):
    nothing = np.full((96, 128, 3), 90, np.uint8)
    settings = MODULES[module].settings(96, None, None)
    assert found_in(network, nothing, module).people == ()
    assert network_registry.detect(MODULES[module], network, nothing, settings).max() == 0


def drawn(network, module):
    return network_registry.detect(MODULES[module], network, np.asarray(photograph()), SETTINGS)


def test_modules_draw_their_parts(network, pose):
    maps = {name: drawn(network, name) for name in MODULE_NAMES}
    assert all(map_.shape == (320, 320, 3) for map_ in maps.values())
    chin = tuple(round(value) for value in pose.people[0].face[8])[::-1]
    neck = tuple(round(value) for value in pose.people[0].body[1])[::-1]
    has_face = {name for name, map_ in maps.items() if (map_[chin] == 255).all()}
    assert has_face == {"openpose_face", "openpose_faceonly", "openpose_full"}
    assert {name for name, map_ in maps.items() if map_[neck].any()} == set(MODULE_NAMES) - {
        "openpose_faceonly"
    }
    assert tuple(maps["openpose"][neck]) == (255, 85, 0)  # color of the neck


def test_map_is_drawn_from_the_poses(network, pose):
    assert (np.asarray(openpose.draw(pose)) == drawn(network, "openpose_full")).all()


def test_face_without_a_body_is_a_person_of_its_own(network):
    close = photograph().crop((100, 45, 225, 190)).resize((400, 464))
    for module, count in (("openpose", 0), ("openpose_faceonly", 1)):
        people = [person for person in found_in(network, close, module).people if person.face]
        assert len(people) == count


def test_mediapipe_face_draws_contours_in_their_colors(network):
    module = MODULES["mediapipe_face"]
    pixels = np.asarray(photograph().resize((640, 640)))
    map_ = network_registry.detect(module, network, pixels, module.settings(640, None, None))
    for eye, color in zip(EYES, ((250, 200, 10), (10, 200, 250)), strict=True):
        x, y = (round(2 * value) for value in eye)
        assert (map_[y - 12 : y + 12, x - 12 : x + 12] == color).all(-1).any()
    rows, columns = np.nonzero(map_.any(-1))
    assert 2 * FACE[0] - 30 < columns.min() < columns.max() < 2 * FACE[2] + 30
    assert rows.max() < 2 * FACE[3] + 30


def test_max_faces_limits_the_faces_that_are_drawn(network):
    module, pixels = MODULES["mediapipe_face"], np.asarray(two_of_her().resize((1280, 640)))
    halves = {}
    for count in (1, 2):
        map_ = network_registry.detect(module, network, pixels, module.settings(640, count, None))
        halves[count] = sum(bool(half.any()) for half in (map_[:, :640], map_[:, 640:]))
    assert halves == {1: 1, 2: 2}


def test_file_with_other_networks_is_rejected(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({f"{name}.tflite": torch.zeros(99, dtype=torch.uint8) for name in HOLISTIC_NETWORKS}, path)
    with open_tensors(path, "x") as file, pytest.raises(ModelUnavailable, match="openpose"):
        network_registry.load("openpose", file, "x")


def test_modules_with_the_same_file_share_one_network():
    names = {network_registry.architecture_of(name) for name in [*MODULE_NAMES, "mediapipe_face"]}
    assert len(names) == 1
    assert network_registry.architecture_of("hed") not in names
    assert (
        len({network_registry.architecture_of(name) for name in ("depth_anything", "depth_anything_v2")}) == 2
    )


def test_people_without_visible_points_are_left_out(monkeypatch):
    unseen, seen = np.full((18, 2), np.nan), np.full((18, 2), 3.0)
    people = [Person(body=unseen), Person(body=seen)]
    monkeypatch.setattr(openpose.holistic, "people", lambda *_args, **_named: people)
    found = openpose.find("openpose", openpose.Holistic({}), np.zeros((8, 8, 3), np.uint8))
    assert found.people == (FoundPerson(body=((3.0, 3.0),) * 18),)
