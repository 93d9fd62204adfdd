"""A model file from the browser, piece by piece, is examined as a scan would and put in its place or not kept at all."""

import json
import pickle
import struct
from pathlib import Path

import pytest

from models_registry.models import Kind, ModelFile
from models_registry.scanning import install_file, resumable_upload

PAGE = "/admin/models_registry/checkpoint/upload/"
NIGHT = Path(__file__).resolve().parents[3] / "demo" / "models" / "loras" / "atelier-night.safetensors"

YUNET = NIGHT.parents[2] / "face_detection" / "yunet_n_640_640.onnx"


@pytest.fixture
def root(settings, tmp_path):
    settings.MODELS_ROOT = tmp_path / "models"
    settings.MODELS_ROOT.mkdir()
    return settings.MODELS_ROOT


@pytest.fixture
def begin(ops, root, db):
    def begin(name="night.safetensors", size=None, kind=Kind.LORA):
        return ops.post(f"{PAGE}begin/", {"kind": kind, "name": name, "size": size or NIGHT.stat().st_size})

    return begin


@pytest.fixture
def send(ops):
    def send(token, data, offset=0):
        headers = {"X-Upload": token, "X-Offset": str(offset)}
        return ops.post(f"{PAGE}append/", data, "application/octet-stream", headers=headers)

    return send


@pytest.fixture
def finish(ops):
    return lambda token: ops.post(f"{PAGE}finish/", headers={"X-Upload": token})


@pytest.fixture
def upload(begin, send, finish):
    """All of a file, in two pieces; the last answer."""

    def upload(name, data, kind=Kind.LORA):
        begun = begin(name, len(data), kind)
        if begun.status_code != 200:
            return begun
        token, half = begun.json()["upload"], len(data) // 2
        send(token, data[:half])
        send(token, data[half:], half)
        return finish(token)

    return upload


def left_in(root):
    return [path.name for path in root.rglob("*") if path.is_file()]


def with_tensors(**tensors):
    header = json.dumps({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in tensors})
    return struct.pack("<Q", len(header)) + header.encode() + bytes(4)


def test_an_uploaded_file_is_in_its_place_and_in_the_registry(upload, root):
    answer = upload("night.safetensors", NIGHT.read_bytes())
    file = ModelFile.objects.get()
    assert answer.json() == {"page": f"/admin/models_registry/modelfile/{file.pk}/change/"}
    assert (file.kind, file.name, file.path) == (Kind.LORA, "night", "loras/night.safetensors")
    assert (root / file.path).read_bytes() == NIGHT.read_bytes()
    assert left_in(root) == ["night.safetensors"]


def test_an_uploaded_face_detector_is_put_where_the_scan_looks_for_it(upload, root):
    assert upload("yunet.onnx", YUNET.read_bytes(), Kind.FACE_DETECTOR).status_code == 200
    assert ModelFile.objects.get().path == "face_detection/yunet.onnx"


def test_a_face_detector_is_no_face_restorer(upload, root):
    answer = upload("yunet.onnx", YUNET.read_bytes(), Kind.FACE_RESTORER)
    assert "By its tensors this is: face detector." in answer.json()["error"]
    assert left_in(root) == []


def test_a_scan_afterwards_finds_nothing_new(upload, root):
    from models_registry.scanning.scan import scan

    upload("night.safetensors", NIGHT.read_bytes())
    assert scan().unchanged == ["loras/night.safetensors"]


def test_no_file_is_overwritten(upload, root):
    (root / "loras").mkdir()
    (root / "loras" / "night.safetensors").write_bytes(b"another")
    answer = upload("night.safetensors", NIGHT.read_bytes())
    assert answer.status_code == 422
    assert "already" in answer.json()["error"]
    assert (root / "loras" / "night.safetensors").read_bytes() == b"another"


def test_a_name_taken_meanwhile_is_not_overwritten_either(begin, send, finish, root):
    token = begin().json()["upload"]
    send(token, NIGHT.read_bytes())
    (root / "loras" / "night.safetensors").write_bytes(b"another")
    assert "already" in finish(token).json()["error"]
    assert (root / "loras" / "night.safetensors").read_bytes() == b"another"
    assert left_in(root) == ["night.safetensors"]


def test_the_same_file_under_another_name_is_refused(upload, root):
    upload("night.safetensors", NIGHT.read_bytes())
    assert "loras/night.safetensors" in upload("dusk.safetensors", NIGHT.read_bytes()).json()["error"]
    assert left_in(root) == ["night.safetensors"]


@pytest.mark.parametrize(
    "name",
    ["../night.safetensors", "a/b.safetensors", ".night.safetensors", "night.exe", "", "a\\b.pt", "a\n.pt"],
)
def test_a_name_that_is_none_is_refused(begin, root, name):
    assert begin(name).status_code == 422
    assert left_in(root) == []


@pytest.mark.parametrize("size", ["-1", "x", "0", "9" * 30])
def test_a_size_that_is_none_is_refused(begin, root, size):
    assert begin(size=size).status_code == 422


def test_a_file_of_another_kind_is_refused_and_not_kept(upload, root):
    answer = upload("night.safetensors", NIGHT.read_bytes(), Kind.CHECKPOINT)
    assert answer.json()["error"] == "By its tensors this is: LoRA. It was sent as: checkpoint."
    assert left_in(root) == []
    assert not ModelFile.objects.exists()


def test_a_file_of_no_known_kind_is_refused(upload, root):
    assert "no kind" in upload("x.safetensors", with_tensors(riddle=1)).json()["error"]
    assert left_in(root) == []


def test_a_broken_file_is_refused(upload, root):
    assert upload("x.safetensors", b"not a model file at all").status_code == 422
    assert left_in(root) == []


def test_a_pickle_that_would_run_code_is_refused(upload, root):
    class Evil:
        def __reduce__(self):
            return print, ("run",)

    answer = upload("x.pt", pickle.dumps(Evil()), Kind.UPSCALER)
    assert "refers to" in answer.json()["error"]
    assert left_in(root) == []


def test_more_than_the_limit_is_refused_before_it_is_sent(begin, root, settings):
    settings.MODEL_UPLOAD_MAX_BYTES = 1000
    assert "larger" in begin(size=1001).json()["error"]


def test_a_full_disk_is_told_before_it_is_filled(begin, root, monkeypatch):
    monkeypatch.setattr(install_file, "KEPT_FREE_BYTES", 2**62)
    assert "room" in begin().json()["error"]


def test_a_disk_that_fills_up_meanwhile_leaves_no_part(begin, send, root, monkeypatch):
    def full(file, chunk):
        raise OSError(28, "No space left on device")

    token = begin().json()["upload"]
    monkeypatch.setattr(resumable_upload, "_write", full)
    assert "room" in send(token, b"bytes").json()["error"]
    assert left_in(root) == []


def test_a_lost_piece_is_sent_again_from_where_the_server_stands(begin, send, finish, root):
    data, token = NIGHT.read_bytes(), begin().json()["upload"]
    send(token, data[:100])
    again = send(token, data[50:], 50)
    assert (again.status_code, again.json()["received"]) == (422, 100)
    assert send(token, data[100:], 100).json() == {"received": len(data)}
    assert "page" in finish(token).json()


def test_what_is_not_whole_cannot_be_finished_and_may_go_on(begin, send, finish, root):
    data, token = NIGHT.read_bytes(), begin().json()["upload"]
    send(token, data[:100])
    assert finish(token).json()["received"] == 100
    send(token, data[100:], 100)
    assert "page" in finish(token).json()


def test_more_than_was_announced_is_refused(begin, send, root):
    token = begin(size=10).json()["upload"]
    assert send(token, b"eleven bytes").status_code == 422
    assert left_in(root) == []


def test_a_cancelled_upload_leaves_nothing(ops, begin, send, root):
    token = begin().json()["upload"]
    send(token, b"bytes")
    assert ops.post(f"{PAGE}cancel/", headers={"X-Upload": token}).status_code == 200
    assert left_in(root) == []
    assert send(token, b"more", 5).json()["error"] == "This upload is over. Begin again."


def test_a_forged_upload_is_refused(begin, send, root):
    token = begin().json()["upload"]
    assert send(token[:-2] + "xx", b"bytes").status_code == 422


def test_nobody_goes_on_with_the_upload_of_another(begin, client, django_user_model, root):
    token = begin().json()["upload"]
    client.force_login(django_user_model.objects.create_superuser("other"))
    headers = {"X-Upload": token, "X-Offset": "0"}
    answer = client.post(f"{PAGE}append/", b"x", "application/octet-stream", headers=headers)
    assert answer.json()["error"] == "This upload is over. Begin again."


def test_an_upload_that_was_given_up_is_removed_by_the_next(begin, root):
    import os

    begin()
    (part,) = root.rglob(".upload-*")
    os.utime(part, (0, 0))
    begin("dusk.safetensors")
    assert not part.exists()


def test_staff_without_the_right_cannot_upload(client, django_user_model, root, db):
    client.force_login(django_user_model.objects.create_user("viewer", is_staff=True))
    assert client.get(PAGE).status_code == 403
    assert client.post(f"{PAGE}begin/", {"kind": "lora", "name": "a.pt", "size": 1}).status_code == 403


def test_a_tenants_user_cannot_upload_whatever_the_role_says(client, django_user_model, root, source):
    from django.contrib.auth.models import Permission

    user = django_user_model.objects.create_user("tenant", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    source.memberships.create(user=user)
    client.force_login(user)
    assert client.post(f"{PAGE}begin/", {"kind": "lora", "name": "a.pt", "size": 1}).status_code == 403


def test_an_upload_needs_the_csrf_token(django_user_model, root, db):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(django_user_model.objects.create_superuser("ops"))
    assert strict.post(f"{PAGE}begin/", {"kind": "lora", "name": "a.pt", "size": 1}).status_code == 403
    assert "model-upload" in strict.get(PAGE).content.decode()
