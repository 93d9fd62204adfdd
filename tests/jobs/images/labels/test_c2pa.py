"""Signed manifests, verified by the library's own reader with a certificate authority of the test."""

import base64
import io
import json

import pytest

from gpu_runner.protocol import Image as RunnerImage
from jobs.admission.admit import admit
from jobs.images import storage
from tests.support.c2pa_authority import sign_manifests
from tests.support.fake_runner import png

c2pa = pytest.importorskip("c2pa")


@pytest.fixture
def authority(settings, tmp_path) -> str:
    """Certificate of the authority, whose operator's certificate the platform signs with."""
    return sign_manifests(settings, tmp_path)


def stored(submission, **fields) -> tuple[str, bytes]:
    job = admit(submission(**fields))
    image = RunnerImage(index=0, data=base64.b64encode(png(64, 64)).decode(), width=64, height=64, seed=1)
    return f"{job.pk}-0", storage.read_output(storage.store_output(job, job.generation_request, image, "a"))


def verified(data: bytes, file_format: str, authority: str) -> dict:
    rules = {"trust": {"trust_anchors": authority}, "verify": {"verify_trust": True}}
    with (
        c2pa.Context(c2pa.Settings.from_dict(rules)) as context,
        c2pa.Reader(f"image/{file_format}", io.BytesIO(data), context=context) as reader,
    ):
        return json.loads(reader.json())


@pytest.mark.parametrize("file_format", ["png", "jpeg", "webp", "avif"])
def test_manifest_is_signed_and_trusted_in_every_format(file_format, authority, submission):
    number, data = stored(submission, output_format=file_format)
    found = verified(data, file_format, authority)
    manifest = found["manifests"][found["active_manifest"]]
    assert (found["validation_state"], manifest["title"]) == ("Trusted", number)
    assert manifest["signature_info"]["common_name"] == "operator"
    (actions,) = [part["data"]["actions"] for part in manifest["assertions"] if "actions" in part["label"]]
    assert actions[0]["action"] == "c2pa.created"
    assert actions[0]["digitalSourceType"].endswith("/trainedAlgorithmicMedia")


def test_a_changed_file_is_not_valid(authority, submission):
    _number, data = stored(submission, output_format="png")
    at = data.index(b"IDAT") + 12
    changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    assert verified(changed, "png", authority)["validation_state"] == "Invalid"


def test_an_input_image_is_an_ingredient(authority, submission):
    picture = storage.store_input(png())
    _number, data = stored(submission, task="img2img", init_images=(picture,))
    found = verified(data, "png", authority)
    manifest = found["manifests"][found["active_manifest"]]
    assert found["validation_state"] == "Trusted"
    assert [part["relationship"] for part in manifest["ingredients"]] == ["inputTo"]


def test_without_a_certificate_there_is_no_manifest(submission):
    _number, data = stored(submission)
    assert b"c2pa" not in data
