"""Capsules and reproductions: the same image again, the distance of another one, and what is refused by name."""

import base64
import hashlib
import io
import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from access.models import AccessKey, Posting
from gpu_runner.protocol import Accepted, Environment
from gpu_runner.protocol import Image as ImageEvent
from jobs.admission import rerun
from jobs.models import InputPicture, Job, Output, Reproduction
from models_registry.models import Family, Kind, ModelFile
from tests.dialects.native.conftest import PREFIX
from tests.support.fake_runner import FakeRunner, JobStream

pytestmark = pytest.mark.slow

ENVIRONMENT = Environment(version="1.0", protocol=1, device="cpu", packages={"torch": "2.9"})


def draws_by_seed(stream: JobStream) -> None:
    """An image whose left half has the seed as its red channel."""
    stream.send(Accepted(job_id=stream.run_request.job_id, environment=ENVIRONMENT))
    request = stream.run_request.request
    for index in range(request.num_images):
        image = Image.new("RGB", (request.width, request.height), (0, 0, 0))
        image.paste((request.seed_of(index) % 256, 0, 0), (0, 0, request.width // 2, request.height))
        file = io.BytesIO()
        image.save(file, "PNG")
        data = base64.b64encode(file.getvalue()).decode()
        size = {"width": request.width, "height": request.height}
        stream.send(ImageEvent(index=index, seed=request.seed_of(index), data=data, **size))
    stream.finish()


@pytest.fixture(autouse=True)
def draws(fake_runner: FakeRunner) -> None:
    fake_runner.behavior = draws_by_seed


@pytest.fixture
def lora(db) -> ModelFile:
    fields = {"name": "night", "path": "loras/night.safetensors", "sha256": "b" * 64}
    return ModelFile.objects.create(kind=Kind.LORA, family=Family.SD15, **fields)


def capsule(client: Any, job: Job, index: int = 0) -> dict[str, Any]:
    response = client.get(f"jobs/{job.pk}/outputs/{index}/capsule")
    assert response.status_code == 200, response.content
    return response.json()


def send(client: Any, document: Any, inputs: list[bytes] = [], original: bytes | None = None, **headers: str):  # noqa: B006
    form: dict[str, Any] = {"capsule": json.dumps(document)}
    if inputs:
        form["inputs"] = [SimpleUploadedFile("a.png", data) for data in inputs]
    if original is not None:
        form["original"] = SimpleUploadedFile("original.png", original)
    return client.client.post(PREFIX + "reproduce", form, headers=headers)


def reproduced(client: Any, work: Any, document: Any, **more: Any) -> dict[str, Any]:
    response = send(client, document, **more)
    assert response.status_code == 201, response.content
    work()
    return client.get(f"reproductions/{response.json()['id']}").json()


def file_of(client: Any, job: Job, index: int = 0) -> bytes:
    return b"".join(client.get(f"jobs/{job.pk}/outputs/{index}").streaming_content)


def test_capsule_has_everything_that_decides_the_pixels(alice, work, lora, checkpoint):
    job = alice.submit(seed=7, num_images=2, sampler="DPM++ 2M", loras=[{"name": "night"}])
    work()
    found = capsule(alice, job, 1)
    assert {file["kind"]: file["sha256"] for file in found["files"]} == {
        "checkpoint": checkpoint.sha256,
        "lora": lora.sha256,
    }
    assert (found["seed"], found["request"]["seed"]) == (8, 7)
    [first] = found["sampling"]
    assert (first["sampler"], first["scheduler"], first["evaluations"]) == ("DPM++ 2M", "Karras", 20)
    assert found["environment"]["packages"]["torch"] == "2.9"
    data = file_of(alice, job, 1)
    assert found["image"]["sha256"] == hashlib.sha256(data).hexdigest()
    pixels = b"RGB 64x64\n" + Image.open(io.BytesIO(data)).tobytes()
    assert found["image"]["pixels_sha256"] == hashlib.sha256(pixels).hexdigest()


def test_reproduction_on_the_same_installation_has_the_same_pixels_and_is_linked_to_its_job(alice, work):
    job = alice.submit(seed=7, num_images=2)
    work()
    found = reproduced(alice, work, capsule(alice, job, 1))
    assert (found["comparison"]["verdict"], found["comparison"]["max_difference"]) == ("same_file", 0)
    assert (found["original"], found["original_job"], found["conditions"]) == ("stored", str(job.pk), [])
    new = Job.objects.get(pk=found["id"])
    assert (new.repeats, new.state, new.operation) == (job, "succeeded", "reproduce")
    assert Posting.objects.filter(job_id=new.pk).count() == 3  # reserved, released, settled


def test_another_seed_is_told_apart_with_figures_and_a_picture_of_the_difference(alice, work):
    job = alice.submit(seed=7)
    work()
    document = capsule(alice, job)
    document["request"]["seed"] = document["seed"] = 107
    comparison = reproduced(alice, work, document)["comparison"]
    assert (comparison["verdict"], comparison["max_difference"]) == ("different", 100)
    assert comparison["differing_share"] == 0.5
    assert comparison["mean_difference"] == pytest.approx(100 / 3 / 2)
    assert comparison["psnr"] == pytest.approx(15.912, abs=0.001)
    response = alice.client.get(comparison["picture_url"])
    picture = Image.open(io.BytesIO(response.content))
    assert (picture.getpixel((10, 10)), picture.getpixel((50, 10))) == ((255, 0, 0), (0, 0, 0))


def test_another_tenant_reproduces_with_the_image_that_it_sends(alice, charlie, work):
    job = alice.submit(seed=7)
    work()
    document, data = capsule(alice, job), file_of(alice, job)
    document["request"]["seed"] = document["seed"] = 8
    found = reproduced(charlie, work, document, original=data)
    assert (found["original"], found["comparison"]["max_difference"]) == ("sent", 1)
    assert Job.objects.get(pk=found["id"]).repeats is None
    without = reproduced(charlie, work, document)
    assert without["original"] == "absent"
    assert (without["comparison"]["verdict"], without["comparison"]["reason"]) == ("different", "no_original")


def test_file_with_other_metadata_has_the_same_pixels(alice, charlie, work, lora):
    job = alice.submit(seed=7, loras=[{"name": "night"}])
    work()
    document = capsule(alice, job)
    document["image"]["sha256"] = "0" * 64
    assert reproduced(charlie, work, document)["comparison"]["verdict"] == "same_pixels"


def test_file_is_found_by_its_hash_whatever_it_is_called_here(alice, work, lora, fake_runner):
    job = alice.submit(loras=[{"name": "night"}])
    work()
    document = capsule(alice, job)
    ModelFile.objects.filter(pk=lora.pk).update(name="dusk", path="loras/dusk.safetensors")
    other = {"name": "night", "path": "loras/other.safetensors", "sha256": "c" * 64}
    ModelFile.objects.create(kind=Kind.LORA, family=Family.SD15, **other)
    assert reproduced(alice, work, document)["comparison"]["verdict"] in ("same_file", "same_pixels")
    assert fake_runner.run_requests[-1].file("lora", "night").path == "loras/dusk.safetensors"


def test_an_embedding_that_is_new_here_does_not_change_the_request(alice, work):
    job = alice.submit(prompt="a plum on a table")
    work()
    document = capsule(alice, job)
    ModelFile.objects.create(kind=Kind.EMBEDDING, name="plum", path="embeddings/plum.pt", sha256="e" * 64)
    found = reproduced(alice, work, document)
    assert Job.objects.get(pk=found["id"]).request["embeddings"] == []


def test_missing_files_are_named_by_hash_and_kind(alice, work, lora, checkpoint):
    job = alice.submit(loras=[{"name": "night"}])
    work()
    document = capsule(alice, job)
    ModelFile.objects.filter(pk__in=[lora.pk, checkpoint.pk]).update(sha256="d" * 64)
    body = send(alice, document).json()
    assert (body["status"], body["code"], len(body["errors"])) == (422, "missing_parts", 2)
    [error] = [error for error in body["errors"] if lora.sha256 in error["msg"]]
    assert "lora" in error["msg"]
    assert document["files"][error["loc"][1]]["kind"] == "lora"
    assert Job.objects.count() == 1


def test_file_of_another_source_is_missing_like_one_that_does_not_exist(alice, charlie, work, lora, source):
    job = alice.submit(loras=[{"name": "night"}])
    work()
    document = capsule(alice, job)
    lora.allowed_sources.add(source)
    hidden = send(charlie, document)
    ModelFile.objects.filter(pk=lora.pk).delete()
    assert hidden.status_code == 422
    assert hidden.json() == send(charlie, document).json()


def test_input_image_is_named_by_hash_until_it_is_sent(alice, charlie, work, image, data_uri):
    job = alice.submit(task="img2img", init_images=[data_uri])
    work()
    document = capsule(alice, job)
    digest = hashlib.sha256(image).hexdigest()
    assert [part["sha256"] for part in document["inputs"]] == [digest]
    body = send(charlie, document).json()
    assert (body["code"], body["errors"][0]["loc"]) == ("missing_parts", ["inputs", 0])
    assert digest in body["detail"]
    assert reproduced(charlie, work, document, inputs=[image])["comparison"]["verdict"] == "same_file"
    assert reproduced(alice, work, document)["comparison"]["verdict"] == "same_file"  # it is stored here


def test_images_that_the_capsule_does_not_name_are_refused(alice, work, image):
    job = alice.submit()
    work()
    document = capsule(alice, job)
    for more, field in (({"inputs": [image]}, "inputs"), ({"original": image}, "original")):
        body = send(alice, document, **more).json()
        assert (body["status"], body["code"], body["field"]) == (422, "bad_picture", field)
    body = send(alice, document, original=b"no image").json()
    assert (body["status"], body["field"]) == (422, "original")
    assert not InputPicture.objects.exists()


def test_other_tenants_see_neither_capsule_nor_reproduction(alice, charlie, work):
    job = alice.submit()
    work()
    document = capsule(alice, job)
    document["request"]["seed"] = document["seed"] = (document["seed"] + 1) % 2**32
    found = reproduced(alice, work, document)
    for path in (
        f"jobs/{job.pk}/outputs/0/capsule",
        f"reproductions/{found['id']}",
        f"reproductions/{found['id']}/difference",
    ):
        assert alice.get(path).status_code == 200
        assert charlie.get(path).status_code == 404
    assert alice.get(f"reproductions/{job.pk}").status_code == 404  # is none
    assert alice.get(f"jobs/{job.pk}/outputs/1/capsule").status_code == 404


def test_another_environment_is_listed(alice, work):
    job = alice.submit()
    work()
    document = capsule(alice, job)
    document["environment"]["packages"] = {"torch": "2.8", "diffusers": "0.30"}
    document["sampling"][0]["scheduler"] = "Karras"
    document["files"][0]["prediction_type"] = "v_prediction"
    found = reproduced(alice, work, document)
    assert found["conditions"] == [
        {"name": "packages.diffusers", "original": "0.30", "here": None},
        {"name": "packages.torch", "original": "2.8", "here": "2.9"},
    ]
    assert len(found["warnings"]) == 2


def test_same_idempotency_key_returns_the_same_reproduction(alice, work):
    job = alice.submit()
    work()
    document = capsule(alice, job)
    first, second = (send(alice, document, **{"Idempotency-Key": "a"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    document["interrupted"] = True
    assert send(alice, document, **{"Idempotency-Key": "a"}).status_code == 409


def test_capsule_is_also_taken_as_json(alice, work):
    job = alice.submit()
    work()
    response = alice.post("reproduce", capsule(alice, job))
    assert response.status_code == 201
    assert response["Location"] == f"/api/v1/reproductions/{response.json()['id']}"


def test_rerun_of_a_reproduction_is_one_too(alice, work, lora):
    job = alice.submit(loras=[{"name": "night"}])
    work()
    document = capsule(alice, job)
    ModelFile.objects.filter(pk=lora.pk).update(name="dusk")
    found = reproduced(alice, work, document)
    again = rerun.rerun(Job.objects.get(pk=found["id"]))
    work()
    assert alice.get(f"reproductions/{again.pk}").json()["comparison"]["max_difference"] == 0


def test_key_without_the_right_to_a_model_cannot_reproduce_with_it(alice, work, lora):
    job = alice.submit(loras=[{"name": "night"}])
    work()
    AccessKey.objects.filter(pk=alice.key.pk).update(allowed_models=["lora:day*"])
    body = send(alice, capsule(alice, job)).json()
    assert (body["status"], body["code"]) == (403, "model_not_allowed")


def test_limits_of_the_source_apply(alice, charlie, work, other_source):
    job = alice.submit(width=128)
    work()
    other_source.max_width = 64
    other_source.save()
    assert send(charlie, capsule(alice, job)).json()["code"] == "over_limit"


def test_deleted_images_leave_the_hashes(alice, work):
    job = alice.submit(seed=7)
    work()
    document = capsule(alice, job)
    document["request"]["seed"] = document["seed"] = 8
    found = reproduced(alice, work, document)
    output = Output.objects.get(job=job)
    output.file.delete(save=False)
    assert capsule(alice, job)["image"]["pixels_sha256"] is None
    assert alice.get(f"reproductions/{found['id']}/difference").status_code == 410
    assert alice.get(f"reproductions/{found['id']}").json()["comparison"]["max_difference"] == 1


CHANGES: list[tuple[str, Any]] = [
    ("format", "other"),
    ("version", 2),
    ("more", 1),
    ("files", []),
    ("files.0.sha256", "x"),
    ("files.0.sha256", ""),
    ("files.0.name", "other"),
    ("files.0.more", 1),
    ("inputs", [{"field": "init_images.0", "sha256": "a" * 64}]),
    ("seed", 3),
    ("subseed", 3),
    ("request.width", 7),
    ("request.more", 7),
    ("request.sampler", "Unknown"),
    ("image.index", 1),
    ("image.sha256", None),
    ("backend", "comfyui"),
    ("workflow", {"name": "a", "sha256": "a" * 64}),
    ("environment", {"version": "1"}),
    ("environment.packages", {"a": "b" * 300}),
    ("job", "1"),
    ("created_at", "yesterday"),
    ("created_at", "2026-01-01T00:00:00"),
    ("sampling", [{"name": "first"}]),
]


@pytest.mark.parametrize(("path", "value"), CHANGES, ids=[f"{path}={value!r:.20}" for path, value in CHANGES])
def test_capsule_that_does_not_fit_together_is_refused(alice, work, path, value):
    job = alice.submit()
    work()
    document = part = capsule(alice, job)
    *parents, name = path.split(".")
    for parent in parents:
        part = part[int(parent) if parent.isdigit() else parent]
    part[name] = value
    response = send(alice, document)
    assert response.status_code == 422, response.content
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] in ("invalid", "unsupported")
    assert not Reproduction.objects.exists()


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ("{", 400),
        ("[]", 422),
        ('"a"', 422),
        ('{"a": NaN}', 400),
        ('{"a": "\\u0000"}', 422),
        ("[" * 5000, 400),
        (json.dumps({"a": "a" * 2**20}), 413),
    ],
)
def test_body_that_is_no_capsule_is_refused(alice, content, status):
    for response in (
        alice.client.post(PREFIX + "reproduce", content, content_type="application/json"),
        alice.client.post(PREFIX + "reproduce", {"capsule": SimpleUploadedFile("a.json", content.encode())}),
    ):
        assert response.status_code == status, response.content
        assert response["Content-Type"] == "application/problem+json"


def test_form_needs_one_capsule_and_has_no_unknown_fields(alice, image):
    file = SimpleUploadedFile("a.png", image)
    for form in (
        {},
        {"original": file},
        {"capsule": ["{}", "{}"]},
        {"capsule": "{}", "mask": file},
        {"capsule": "{}", "inputs": "text"},
        {"capsule": "{}", "lane": "bulk"},
    ):
        file.seek(0)
        response = alice.client.post(PREFIX + "reproduce", form)
        assert response.status_code == 422, response.content
        assert response.json()["code"] == "invalid"
    assert alice.client.post(PREFIX + "reproduce", b"", content_type="text/plain").status_code == 415
