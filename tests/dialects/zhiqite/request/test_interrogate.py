"""interrogate and identifyStyle: tags of the registry's tagger, or a sentence of the vision model."""

import json

import pytest

from gpu_runner.protocol.findings import FoundTag, TagsFound
from jobs.models import Job, Lane
from models_registry.models import Kind
from tests.dialects.zhiqite.conftest import PREFIX
from tests.support import fake_runner as fake
from tests.support.receiving_server import YES
from tests.support.receiving_server import work as call_back

pytestmark = pytest.mark.slow

CAPTION = "red circle, blue background, hatsune miku \\(cosplay\\), ^_^"


@pytest.fixture
def tagger(register):
    return register(Kind.TAGGER, "taggers/wd.onnx")


@pytest.fixture
def body(web):
    return {"businessTaskId": "t", "image": web.url("/red.png")}


def interrogated(alice, body, **fields):
    envelope = alice.post("tool/interrogate", body | fields)
    assert envelope["code"] == "200", envelope
    return envelope["data"]


def test_response_has_the_caption(alice, tagger, body, worker):
    data = interrogated(alice, body, model="deepdanbooru")
    job = Job.objects.get()
    assert data == {
        "task_id": "t",
        "taskId": str(job.pk),
        "businessTaskId": "t",
        "status": 1,
        "caption": CAPTION,
    }
    assert (job.lane, job.generation_request.analysis.find) == (Lane.INTERACTIVE, "tags")
    assert job.cost > 0


def test_task_that_is_not_done_is_queried(alice, tagger, body, work):
    data = interrogated(alice, body)
    assert (data["caption"], data["status"]) == (None, 1)
    work()
    task = alice.task("t", "tool/interrogate/queryTask")
    assert (task["status"], task["caption"]) == (2, CAPTION)
    assert task["tags"][0] == {"name": "red circle", "score": 0.98, "category": "general"}
    assert task["ratings"] == [{"name": "safe", "score": 0.99, "category": "rating"}]


def test_request_with_a_callback_does_not_wait(alice, tagger, body, web, settings, work):
    settings.JOB_WAIT_S = 60  # nobody runs the job meanwhile
    web.answers["/done"] = YES
    assert interrogated(alice, body, callbackUrl=web.url("/done"))["caption"] is None
    work()
    call_back()
    assert json.loads(web.asked[-1].body)["data"]["caption"] == CAPTION


def test_failed_task_is_an_error_with_its_reason(alice, tagger, body, worker):
    worker.behavior = fake.fails_with_oom
    envelope = alice.post("tool/interrogate", body)
    assert envelope["code"] == "400"
    assert envelope["msg"].startswith("任务失败: ")


def test_vision_model_describes_the_image(alice, text_model, body):
    assert interrogated(alice, body, model="clip") == {
        "taskId": "t",
        "businessTaskId": "t",
        "status": 1,
        "caption": "The picture is red.",
    }
    assert not Job.objects.exists()


def test_without_a_named_model_the_vision_model_goes_first(alice, source, text_model, tagger, body):
    assert interrogated(alice, body)["caption"] == "The picture is red."
    source.text_model = False
    source.save()
    assert interrogated(alice, body)["caption"] is None
    assert Job.objects.get().generation_request.analysis.model == "wd"


def test_styles_are_the_tags_that_name_one(alice, web, tagger, work, monkeypatch):
    tags = [("1girl", 0.9), ("watercolor_(medium)", 0.8), ("traditional_media", 0.7)]
    found = TagsFound(
        tags=tuple(FoundTag(name=name, score=score, category="general") for name, score in tags)
    )
    monkeypatch.setitem(fake.FINDINGS, "tags", found)
    job = alice.submit(
        "tool/identifyStyle", {"businessTaskId": "s", "image": web.url("/red.png"), "threshold": 0.2}
    )
    assert job.generation_request.analysis.threshold == 0.2
    work()
    task = alice.task("s", "tool/identifyStyle/queryTask")
    assert (task["status"], [style["name"] for style in task["styles"]]) == (
        2,
        ["watercolor (medium)", "traditional media"],
    )
    assert "tags" not in task


@pytest.mark.parametrize(
    ("tool", "fields", "message"),
    [
        ("interrogate", {"image": None}, "image: Field required"),
        ("interrogate", {"image": "http://127.0.0.1:1/a.png"}, "image: "),
        ("interrogate", {"model": "blip"}, "model: "),
        ("interrogate", {"threshold": 2}, "threshold: "),
        ("interrogate", {}, "tagger"),
        ("interrogate", {"model": "clip"}, "TEXT_MODEL_VISION"),
        ("identifyStyle", {"image": ""}, "image: Field required"),
        ("identifyStyle", {}, "tagger"),
    ],
)
def test_invalid_use_is_refused_with_its_reason(alice, body, tool, fields, message):
    assert message in alice.refused(f"tool/{tool}", body | fields)


@pytest.mark.parametrize("field", ["callbackUrl", "threshold"])
def test_description_without_a_task_refuses_what_belongs_to_one(alice, text_model, body, web, field):
    value = {"callbackUrl": web.url("/done"), "threshold": 0.5}[field]
    assert alice.refused("tool/interrogate", body | {"model": "clip", field: value}).startswith(field)


def test_unusable_description_is_refused(alice, text_model, body, settings):
    text_model.misbehavior, settings.ZHIQITE_HTTP_ERRORS = "500", True
    response = alice.client.post(
        PREFIX + "tool/interrogate", body | {"model": "clip"}, content_type="application/json"
    )
    assert response.status_code == 503
    assert "secret" not in response.content.decode()


def test_tags_are_not_told_to_others(alice, charlie, tagger, body, work):
    interrogated(alice, body)
    work()
    assert charlie.post("tool/interrogate/queryTask", {"businessTaskId": "t"})["msg"] == "Task not found."
