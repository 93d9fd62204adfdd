"""Upload of model files in chunks: inspected as by a scan, then installed or deleted."""

import json
import pickle
import struct
from pathlib import Path

import pytest

from models_registry.models import Kind, ModelFile
from models_registry.scanning import install_file

pytestmark = pytest.mark.slow

PAGE = "/admin/models_registry/checkpoint/upload/"
NIGHT = Path(__file__).resolve().parents[3] / "demo" / "models" / "loras" / "atelier-night.safetensors"

YUNET = NIGHT.parents[1] / "face_detection" / "yunet_n_640_640.onnx"


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
    """Uploads a file in two chunks and returns the last response."""

    def upload(name, data, kind=Kind.LORA):
        response = begin(name, len(data), kind)
        if response.status_code != 200:
            return response
        token, half = response.json()["upload"], len(data) // 2
        send(token, data[:half])
        send(token, data[half:], half)
        return finish(token)

    return upload


def files_in(root):
    return [path.name for path in root.rglob("*") if path.is_file()]


def with_tensors(**tensors):
    header = json.dumps({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in tensors})
    return struct.pack("<Q", len(header)) + header.encode() + bytes(4)


def test_uploaded_file_is_installed_and_registered(upload, root):
    response = upload("night.safetensors", NIGHT.read_bytes())
    file = ModelFile.objects.get()
    assert response.json() == {"page": f"/admin/models_registry/modelfile/{file.pk}/change/"}
    assert (file.kind, file.name, file.path) == (Kind.LORA, "night", "loras/night.safetensors")
    assert (root / file.path).read_bytes() == NIGHT.read_bytes()
    assert files_in(root) == ["night.safetensors"]


def test_uploaded_face_detector_is_installed_in_its_folder(upload, root):
    assert upload("yunet.onnx", YUNET.read_bytes(), Kind.FACE_DETECTOR).status_code == 200
    assert ModelFile.objects.get().path == "face_detection/yunet.onnx"


def test_face_detector_is_refused_as_a_face_restorer(upload, root):
    response = upload("yunet.onnx", YUNET.read_bytes(), Kind.FACE_RESTORER)
    assert "of the kind face detector, not face restorer" in response.json()["error"]
    assert files_in(root) == []


def test_a_scan_afterwards_finds_nothing_new(upload, root):
    from models_registry.scanning.scan import scan

    upload("night.safetensors", NIGHT.read_bytes())
    assert scan().unchanged == ["loras/night.safetensors"]


def test_existing_file_is_not_overwritten(upload, root):
    (root / "loras").mkdir()
    (root / "loras" / "night.safetensors").write_bytes(b"another")
    response = upload("night.safetensors", NIGHT.read_bytes())
    assert response.status_code == 422
    assert "already" in response.json()["error"]
    assert (root / "loras" / "night.safetensors").read_bytes() == b"another"


def test_file_created_during_the_upload_is_not_overwritten(begin, send, finish, root):
    token = begin().json()["upload"]
    send(token, NIGHT.read_bytes())
    (root / "loras" / "night.safetensors").write_bytes(b"another")
    assert "already" in finish(token).json()["error"]
    assert (root / "loras" / "night.safetensors").read_bytes() == b"another"
    assert files_in(root) == ["night.safetensors"]


def test_duplicate_file_under_another_name_is_refused(upload, root):
    upload("night.safetensors", NIGHT.read_bytes())
    assert "loras/night.safetensors" in upload("dusk.safetensors", NIGHT.read_bytes()).json()["error"]
    assert files_in(root) == ["night.safetensors"]


@pytest.mark.parametrize(
    "name",
    ["../night.safetensors", "a/b.safetensors", ".night.safetensors", "night.exe", "", "a\\b.pt", "a\n.pt"],
)
def test_invalid_name_is_refused(begin, root, name):
    assert begin(name).status_code == 422
    assert files_in(root) == []


@pytest.mark.parametrize("size", ["-1", "x", "0", "9" * 30])
def test_invalid_size_is_refused(begin, root, size):
    assert begin(size=size).status_code == 422


def test_file_of_another_kind_is_refused_and_deleted(upload, root):
    response = upload("night.safetensors", NIGHT.read_bytes(), Kind.CHECKPOINT)
    assert response.json()["error"] == "The file is of the kind LoRA, not checkpoint."
    assert files_in(root) == []
    assert not ModelFile.objects.exists()


def test_file_of_unknown_kind_is_refused(upload, root):
    assert "no supported kind" in upload("x.safetensors", with_tensors(unknown=1)).json()["error"]
    assert files_in(root) == []


def test_malformed_file_is_refused(upload, root):
    assert upload("x.safetensors", b"not a model file at all").status_code == 422
    assert files_in(root) == []


def test_unsafe_pickle_is_refused(upload, root):
    class Evil:
        def __reduce__(self):
            return print, ("run",)

    response = upload("x.pt", pickle.dumps(Evil()), Kind.UPSCALER)
    assert "refers to" in response.json()["error"]
    assert files_in(root) == []


def test_size_above_the_limit_is_refused_before_the_upload(begin, root, settings):
    settings.MODEL_UPLOAD_MAX_BYTES = 1000
    assert "at most" in begin(size=1001).json()["error"]


def test_missing_disk_space_is_reported_before_the_upload(begin, root, monkeypatch):
    monkeypatch.setattr(install_file, "MIN_FREE_BYTES", 2**62)
    assert "disk space" in begin().json()["error"]


def test_disk_that_fills_up_during_the_upload_leaves_no_file(begin, send, root):
    token = begin().json()["upload"]
    (part,) = root.rglob(".upload-*")
    part.unlink()
    part.symlink_to("/dev/full")
    assert "disk space" in send(token, b"bytes").json()["error"]
    assert files_in(root) == []


def test_wrong_offset_is_refused_with_the_received_size(begin, send, finish, root):
    data, token = NIGHT.read_bytes(), begin().json()["upload"]
    send(token, data[:100])
    again = send(token, data[50:], 50)
    assert (again.status_code, again.json()["received"]) == (422, 100)
    assert send(token, data[100:], 100).json() == {"received": len(data)}
    assert "page" in finish(token).json()


def test_incomplete_upload_cannot_be_finished_and_can_be_resumed(begin, send, finish, root):
    data, token = NIGHT.read_bytes(), begin().json()["upload"]
    send(token, data[:100])
    assert finish(token).json()["received"] == 100
    send(token, data[100:], 100)
    assert "page" in finish(token).json()


def test_more_bytes_than_announced_are_refused(begin, send, root):
    token = begin(size=10).json()["upload"]
    assert send(token, b"eleven bytes").status_code == 422
    assert files_in(root) == []


def test_cancelled_upload_is_deleted(ops, begin, send, root):
    token = begin().json()["upload"]
    send(token, b"bytes")
    assert ops.post(f"{PAGE}cancel/", headers={"X-Upload": token}).status_code == 200
    assert files_in(root) == []
    assert send(token, b"more", 5).json()["error"] == "This upload has ended. Start again."


def test_forged_token_is_refused(begin, send, root):
    token = begin().json()["upload"]
    assert send(token[:-2] + "xx", b"bytes").status_code == 422


def test_upload_of_another_user_cannot_be_continued(begin, client, django_user_model, root):
    token = begin().json()["upload"]
    client.force_login(django_user_model.objects.create_superuser("other"))
    headers = {"X-Upload": token, "X-Offset": "0"}
    response = client.post(f"{PAGE}append/", b"x", "application/octet-stream", headers=headers)
    assert response.json()["error"] == "This upload has ended. Start again."


def test_abandoned_upload_is_deleted_by_the_next(begin, root):
    import os

    begin()
    (part,) = root.rglob(".upload-*")
    os.utime(part, (0, 0))
    begin("dusk.safetensors")
    assert not part.exists()


def test_upload_requires_permission(client, django_user_model, root, db):
    client.force_login(django_user_model.objects.create_user("viewer", is_staff=True))
    assert client.get(PAGE).status_code == 403
    assert client.post(f"{PAGE}begin/", {"kind": "lora", "name": "a.pt", "size": 1}).status_code == 403


def test_user_of_a_tenant_cannot_upload_regardless_of_permissions(client, django_user_model, root, source):
    from django.contrib.auth.models import Permission

    user = django_user_model.objects.create_user("tenant", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    source.memberships.create(user=user)
    client.force_login(user)
    assert client.post(f"{PAGE}begin/", {"kind": "lora", "name": "a.pt", "size": 1}).status_code == 403


def test_upload_requires_the_csrf_token(django_user_model, root, db):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(django_user_model.objects.create_superuser("ops"))
    assert strict.post(f"{PAGE}begin/", {"kind": "lora", "name": "a.pt", "size": 1}).status_code == 403
    assert "model-upload" in strict.get(PAGE).content.decode()
