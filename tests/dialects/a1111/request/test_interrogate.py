"""``/interrogate``: a job of the task analyze, whose tags are the caption."""

import base64

import pytest
from django.test import Client

from jobs.models import Job, State
from models_registry.models import Kind, ModelFile
from tests.support.job_curl import commands


@pytest.fixture
def tagger(db) -> ModelFile:
    return ModelFile.objects.create(kind=Kind.TAGGER, name="wd", path="taggers/wd.onnx", sha256="a" * 64)


def interrogated(alice, work, red, **body):
    response = alice.post("interrogate", {"image": red, "model": "deepdanbooru", **body})
    assert response.status_code == 503, response.content
    work()
    job = Job.objects.get(pk=response["X-Job-Id"])
    return alice.result(job)["caption"]


def test_caption_has_the_tags_in_alphabetical_order(alice, work, tagger, red):
    caption = interrogated(alice, work, red)
    assert caption == "^_^, blue background, hatsune miku \\(cosplay\\), red circle"


def test_job_is_a_durable_analysis_with_a_price(alice, work, tagger, red):
    interrogated(alice, work, red)
    job = Job.objects.get()
    assert (job.state, job.operation, job.images_done, job.has_callback) == (
        State.SUCCEEDED,
        "interrogate",
        1,
        False,
    )
    assert job.cost > 0
    analysis = job.generation_request.analysis
    assert (analysis.find, analysis.model, analysis.threshold, analysis.character_threshold) == (
        "tags",
        "wd",
        0.5,
        0.5,
    )


@pytest.mark.parametrize(
    ("options", "caption"),
    [
        ({"deepbooru_sort_alpha": False}, "red circle, blue background, hatsune miku \\(cosplay\\), ^_^"),
        ({"deepbooru_use_spaces": False}, "^_^, blue_background, hatsune_miku_\\(cosplay\\), red_circle"),
        ({"deepbooru_escape": False}, "^_^, blue background, hatsune miku (cosplay), red circle"),
        ({"deepbooru_filter_tags": "red circle, ^_^"}, "blue background, hatsune miku \\(cosplay\\)"),
        (
            {"interrogate_return_ranks": True, "deepbooru_filter_tags": "^_^,hatsune_miku_(cosplay)"},
            "(blue background:0.950), (red circle:0.980)",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_options_of_the_original_format_the_caption(alice, work, tagger, red, options, caption):
    assert alice.post("options", options).status_code == 200
    assert interrogated(alice, work, red) == caption


def test_threshold_is_the_option(alice, tagger, red):
    alice.post("options", {"interrogate_deepbooru_score_threshold": 0.3})
    job = alice.submit("interrogate", image=red, model="deepdanbooru")
    assert job.generation_request.analysis.threshold == 0.3
    response = alice.post("options", {"interrogate_deepbooru_score_threshold": 1.5})
    assert response.json()["detail"][0]["loc"] == ["body", "interrogate_deepbooru_score_threshold"]


def test_a_tagger_of_the_registry_may_be_named(alice, tagger, red):
    other = ModelFile.objects.create(kind=Kind.TAGGER, name="eva", path="taggers/eva.onnx", sha256="b" * 64)
    job = alice.submit("interrogate", image=red, model="eva")
    assert job.files["tagger:eva"]["sha256"] == other.sha256


def test_clip_is_refused_with_the_way_out(alice, tagger, red):
    for body in ({"image": red}, {"image": red, "model": "clip"}):
        entry = alice.post("interrogate", body).json()["detail"][0]
        assert (entry["loc"], entry["type"]) == (["body", "model"], "value_error.unsupported")
        assert "deepdanbooru" in entry["msg"]


def test_clip_is_described_by_the_vision_model(alice, red, text_model):
    for body in ({"image": red}, {"image": f"data:image/png;base64,{red}", "model": "clip"}):
        response = alice.post("interrogate", body)
        assert (response.status_code, response.json()) == (200, {"caption": "The picture is red."})
    assert not Job.objects.exists()


def test_clip_is_refused_for_a_source_without_text_model(alice, red, source, text_model):
    source.text_model = False
    source.save()
    assert alice.post("interrogate", {"image": red}).status_code == 422
    assert not text_model.requests


@pytest.mark.parametrize("misbehavior", ["never", "prose", "no JSON"])
def test_a_vision_model_without_an_answer_is_503(alice, red, text_model, settings, misbehavior):
    settings.TEXT_MODEL_TIMEOUT_S = 0.5
    text_model.misbehavior = misbehavior
    response = alice.post("interrogate", {"image": red})
    assert (response.status_code, response.json()["error"]) == (503, "HTTPException")


def test_an_image_that_is_none_is_not_sent_to_the_vision_model(alice, text_model):
    assert alice.post("interrogate", {"image": "AAAA"}).json()["detail"] == "Invalid encoded image"
    assert not text_model.requests


def test_without_a_tagger_the_request_is_refused(alice, red):
    response = alice.post("interrogate", {"image": red, "model": "deepdanbooru"})
    entry = response.json()["detail"][0]
    assert (response.status_code, entry["loc"]) == (422, ["body", "model"])
    assert "taggers" in entry["msg"]


def test_tagger_with_a_problem_is_refused_with_it(alice, tagger, red):
    ModelFile.objects.filter(pk=tagger.pk).update(problem="Not usable: its tag table is missing")
    entry = alice.post("interrogate", {"image": red, "model": "wd"}).json()["detail"][0]
    assert "its tag table is missing" in entry["msg"]


@pytest.mark.parametrize(
    ("body", "status"),
    [({"model": "bogus"}, 404), ({"model": ""}, 404), ({"image": ""}, 500), ({"image": "AAAA"}, 500),
     ({"image": None}, 422), ({"image": 7}, 500), ({"model": ["wd"]}, 422), ({"image": "http://127.0.0.1/a.png"}, 500)],
)  # fmt: skip
def test_invalid_request_is_an_error_of_the_original(alice, tagger, red, body, status):
    response = alice.post("interrogate", {"image": red, "model": "deepdanbooru"} | body)
    assert response.status_code == status, response.content
    assert not Job.objects.exists()


def test_progress_has_the_title_of_the_original(alice, tagger, red):
    alice.submit("interrogate", image=red, model="deepdanbooru")
    assert alice.get("progress").json()["state"]["job"] == "interrogate"


def test_another_tenant_does_not_see_the_caption(alice, charlie, tagger, red):
    job = alice.submit("interrogate", image=red, model="deepdanbooru")
    assert charlie.get(f"jobs/{job.pk}").status_code == 404
    assert Client().post("/sdapi/v1/interrogate", {"image": red}).status_code == 401


def test_command_repeats_the_request(alice, tagger, red):
    job = alice.submit("interrogate", image=red, model="deepdanbooru")
    own, native = commands(job, "http://here")
    assert own.path == "/sdapi/v1/interrogate"
    assert '"model": "deepdanbooru"' in own.command
    assert '"task": "analyze"' in native.command


def test_data_uri_is_accepted(alice, tagger, png):
    image = "data:image/png;base64," + base64.b64encode(png).decode()
    assert alice.submit("interrogate", image=image, model="deepdanbooru")
