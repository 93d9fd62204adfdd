"""The task analyze: submission, findings in the response, price, and what it refuses."""

import pytest

from access.models import Posting
from jobs.models import Job
from models_registry.models import Kind, ModelFile


@pytest.fixture
def nsfw_model(db) -> ModelFile:
    return ModelFile.objects.create(
        kind=Kind.NSFW, name="open_nsfw", path="nsfw/open_nsfw.onnx", sha256="e" * 64
    )


def analysis(data_uri: str, **fields):
    return {"task": "analyze", "init_images": [data_uri], "analysis": {"find": "faces"}} | fields


def test_findings_are_in_the_finished_job(alice, work, face_models, data_uri):
    job = alice.submit(**analysis(data_uri))
    assert alice.job(job)["findings"] == []
    work()
    body = alice.job(job)
    assert (body["state"], body["images_done"], body["outputs"]) == ("succeeded", 1, [])
    [found] = body["findings"]
    assert found["index"] == 0
    assert found["data"] == {
        "find": "faces",
        "width": 320,
        "height": 320,
        "faces": [
            {
                "score": 0.93,
                "box": [117, 60, 208, 178],
                "landmarks": [[141, 104], [184, 104], [163, 130], [145, 148], [180, 148]],
            }
        ],
    }
    assert body["request"]["analysis"]["model"] == "yunet"


def test_each_image_is_analyzed_and_paid_as_one_image(alice, work, face_models, data_uri):
    other = data_uri.replace("data:image/png", "data:image/PNG")
    job = alice.submit(**analysis(data_uri, num_images=2, init_images=[data_uri, other]))
    work()
    body = alice.job(job)
    assert [found["index"] for found in body["findings"]] == [0, 1]
    assert body["cost"] == pytest.approx(2 * 64 * 64 / 1e6)
    settled = Posting.objects.get(job_id=job.pk, kind=Posting.Kind.SETTLE)
    assert settled.images == 2


def test_a_callback_has_the_findings(alice, work, nsfw_model, data_uri):
    job = alice.submit(**analysis(data_uri, analysis={"find": "nsfw"}))
    work()
    job = Job.objects.get(pk=job.pk)
    assert job.findings == [
        {"index": 0, "data": {"find": "nsfw", "detected": False, "score": 0.03, "threshold": 0.8}}
    ]


def test_an_nsfw_policy_of_the_source_needs_no_model(alice, source, face_models, data_uri):
    source.nsfw_policy = "refuse"
    source.save()
    assert alice.post("jobs", analysis(data_uri)).status_code == 201


@pytest.mark.parametrize("find", ["faces", "nsfw"])
def test_without_a_model_the_analysis_is_refused(alice, find, data_uri):
    response = alice.post("jobs", analysis(data_uri, analysis={"find": find}))
    assert response.status_code == 422, response.content
    assert "the registry has none" in response.json()["detail"]


def test_an_unknown_model_is_refused(alice, face_models, data_uri):
    response = alice.post("jobs", analysis(data_uri, analysis={"find": "faces", "model": "retina"}))
    assert response.status_code == 422
    assert "retina" in response.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"analysis": None}, "analysis is required with task=analyze"),
        ({"analysis": {"find": "cats"}}, "find"),
        ({"analysis": {"find": "faces", "threshold": 1.5}}, "threshold"),
        ({"init_images": []}, "init_images must have 1 image with task=analyze (got 0)"),
        ({"num_images": 2}, "init_images must have num_images=2 images with task=analyze (got 1)"),
        ({"face_restoration": {}}, "face_restoration is not allowed with task=analyze"),
        ({"labels": [{"text": "shop"}]}, "labels is not allowed with task=analyze"),
        ({"marks": [{"key": "a", "text": "b"}]}, "marks is not allowed with task=analyze"),
        ({"nsfw": {"policy": "flag"}}, "nsfw is not allowed with task=analyze"),
        ({"task": "img2img"}, "analysis is only allowed with task=analyze (got task=img2img)"),
    ],
)
def test_fields_without_effect_are_refused(alice, face_models, data_uri, fields, detail):
    response = alice.post("jobs", analysis(data_uri) | fields)
    assert response.status_code == 422
    assert detail in response.content.decode()
    assert not Job.objects.exists()


def test_a_quote_prices_an_analysis(alice, face_models, data_uri):
    body = alice.post("quote", {"width": 64, "height": 64, **analysis(data_uri)}).json()
    assert body["accepted"], body
    assert body["cost"] == pytest.approx(64 * 64 / 1e6)


def test_another_tenant_does_not_see_the_findings(alice, charlie, work, face_models, data_uri):
    job = alice.submit(**analysis(data_uri))
    work()
    assert charlie.get(f"jobs/{job.pk}").status_code == 404
