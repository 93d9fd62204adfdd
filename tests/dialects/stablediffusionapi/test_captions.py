"""v6/image_editing/caption by the vision model, by a tagger, or refused."""

import pytest

from dialects.stablediffusionapi.captions import shortened
from jobs.models import Job
from models_registry.models import Kind

pytestmark = pytest.mark.django_db

PATH = "v6/image_editing/caption"


@pytest.fixture
def tagger(model):
    return model(Kind.TAGGER, "wd14")


def test_vision_model_describes_the_image_at_once(alice, red, text_model):
    body = alice.call(PATH, init_image=red, length="short")
    assert body["status"] == "success"
    assert "red" in body["output"]
    assert not Job.objects.exists()


def test_vision_model_has_no_webhook(alice, red, text_model):
    response = alice.post(PATH, init_image=red, webhook="https://example.com/hook")
    assert response.status_code == 400
    assert "the response has its description" in response.json()["message"]


def test_failing_vision_model_is_told(alice, red, text_model):
    text_model.misbehavior = "500"
    response = alice.post(PATH, init_image=red)
    assert response.json()["status"] == "error"
    assert response.status_code >= 400


@pytest.mark.parametrize("length", ["short", "normal", None])
def test_tagger_returns_tags_as_a_job(alice, red, tagger, work, length):
    response = alice.call(PATH, init_image=red, length=length)
    analysis = Job.objects.get().generation_request.analysis
    assert (analysis.find, analysis.model) == ("tags", "wd14")
    work()
    body = alice.call(f"v6/image_editing/fetch/{response['id']}")
    assert (body["status"], type(body["output"])) == ("success", str)
    assert body["output"].startswith("red circle, ")


def test_source_without_the_text_model_uses_the_tagger(alice, red, text_model, tagger, source):
    source.text_model = False
    source.save()
    assert alice.call(PATH, init_image=red)["status"] == "processing"


def test_without_both_it_is_refused_by_name(alice, red):
    response = alice.post(PATH, init_image=red)
    assert response.status_code == 400
    assert "tagger" in response.json()["message"]


def test_unknown_length_is_refused(alice, red, tagger):
    message = alice.post(PATH, init_image=red, length="huge").json()["message"]
    assert message == "The length must be one of: short, normal, long."


@pytest.mark.parametrize(
    ("length", "text"),
    [
        ("short", "A cat."),
        ("normal", "A cat. It sits. It purrs."),
        ("long", "A cat. It sits. It purrs. End."),
    ],
)
def test_length_is_a_number_of_sentences(length, text):
    assert shortened("A cat. It sits. It purrs.  End.", length) == text


def test_chinese_sentences_end_with_their_own_period():
    assert shortened("一只猫。它坐着。", "short") == "一只猫。"
