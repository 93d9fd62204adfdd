"""Tools whose result is text, with a text model on a real socket."""

import pytest

from jobs.models import Job
from models_registry.models import Kind
from tests.dialects.zhiqite.conftest import PREFIX
from tests.support.text_model_server import DETAILS, MISBEHAVIORS

pytestmark = pytest.mark.slow

PROMPTS = ("prompts/expand", "prompts/optimize", "prompts/expandOptimize")
ALL = (*PROMPTS, "translate")
BODY = {"businessTaskId": "t", "sourcePrompt": "一只猫", "text": "一只猫"}


def result(alice, tool, **fields):
    envelope = alice.post(f"tool/{tool}", BODY | fields)
    assert envelope["code"] == "200", envelope
    return envelope["data"]


def test_expand_appends_details_to_the_translated_prompt(alice, text_model):
    assert result(alice, "prompts/expand") == {
        "status": 0,
        "prompts": [f"a cat, {DETAILS}"],
        "taskId": "t",
        "toolTask": "prompts/expand",
        "businessTaskId": "t",
        "note": None,
    }
    assert not Job.objects.exists()


def test_optimize_rewrites_the_prompt_and_writes_a_negative_one(alice, text_model):
    data = result(alice, "prompts/optimize")
    assert (data["prompts"], data["negativePrompt"]) == (["a cat, masterpiece"], "blurry")


def test_expand_and_optimize_does_both(alice, text_model):
    data = result(alice, "prompts/expandOptimize")
    assert (data["prompts"], data["negativePrompt"]) == ([f"a cat, masterpiece, {DETAILS}"], "blurry")


def test_syntax_and_embeddings_of_a_prompt_stay(alice, text_model, register):
    register(Kind.EMBEDDING, "embeddings/plum.safetensors")
    (prompt,) = result(alice, "prompts/expand", sourcePrompt="(一只猫:1.2), plum, <lora:night:0.8>")[
        "prompts"
    ]
    assert prompt.startswith("(a cat:1.2), plum")
    assert "<lora:night:0.8>" in prompt


@pytest.mark.parametrize(
    ("language", "code", "translation"),
    [
        (None, "en", "a cat"),
        ("EN", "en", "a cat"),
        ("en_US", "en", "a cat"),
        ("zh_CN", "zh", "译：一只猫"),
        ("zh-TW", "zh-tw", "译：一只猫"),
    ],
)
def test_text_is_translated_to_the_language(alice, text_model, language, code, translation):
    data = result(alice, "translate", targetLanguage=language)
    assert (data["translation"], data["targetLanguage"]) == (translation, code)


def test_text_without_foreign_letters_is_translated_too(alice, text_model):
    assert result(alice, "translate", text="un chat")["translation"] == "un chat"
    assert len(text_model.requests) == 1


def test_fields_without_effect_are_told(alice, text_model):
    data = result(alice, "prompts/expand", mode=1, topK="50", sequencesNum=3)
    assert data["note"].startswith("no effect: mode, topK, sequencesNum")
    assert len(data["prompts"]) == 1


@pytest.mark.parametrize("tool", ALL)
def test_without_a_text_model_the_tool_is_refused_by_name(alice, settings, tool):
    assert "TEXT_MODEL_URL" in alice.refused(f"tool/{tool}", BODY)
    settings.ZHIQITE_HTTP_ERRORS = True
    response = alice.client.post(f"{PREFIX}tool/{tool}", BODY, content_type="application/json")
    assert response.status_code == 501


@pytest.mark.parametrize("tool", ALL)
def test_source_that_may_not_use_the_text_model_is_refused(alice, source, text_model, tool):
    source.text_model = False
    source.save()
    assert "may not use the text model" in alice.refused(f"tool/{tool}", BODY)
    assert text_model.requests == []


@pytest.mark.parametrize("misbehavior", [name for name in MISBEHAVIORS if name not in ("never", "drips")])
def test_unusable_answer_of_the_text_model_is_refused(alice, text_model, misbehavior):
    text_model.misbehavior = misbehavior
    message = alice.refused("tool/prompts/optimize", BODY)
    assert message.startswith("The text model failed: ")
    assert "secret" not in message


@pytest.mark.parametrize("misbehavior", ["never", "drips"])
def test_slow_text_model_is_refused_after_its_time(alice, settings, text_model, misbehavior):
    settings.TEXT_MODEL_TIMEOUT_S, settings.ZHIQITE_HTTP_ERRORS = 0.3, True
    text_model.misbehavior = misbehavior
    response = alice.client.post(f"{PREFIX}tool/translate", BODY, content_type="application/json")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
    assert "time limit" in response.json()["msg"]


@pytest.mark.parametrize(
    ("tool", "fields", "message"),
    [
        ("prompts/expand", {"sourcePrompt": ""}, "sourcePrompt: Field required"),
        ("prompts/expand", {"sourcePrompt": ["a"]}, "sourcePrompt: "),
        ("prompts/expand", {"sourcePrompt": "一" * 20_001}, "sourcePrompt: "),
        ("prompts/expand", {"sourcePrompt": "一" * 9000}, "at most 8000 characters"),
        ("prompts/expand", {"topK": 251}, "topK: "),
        ("prompts/expand", {"topP": 0}, "topP: "),
        ("prompts/expand", {"mode": 2}, "mode: "),
        ("prompts/optimize", {"callbackUrl": "http://a.example/"}, "callbackUrl: "),
        ("translate", {"text": None}, "text: Field required"),
        ("translate", {"targetLanguage": "tlh"}, "The language must be one of en, zh"),
        ("translate", {"targetLanguage": 7}, "The language must be one of en, zh"),
        ("translate", {"targetLanguage": "e" * 21}, "targetLanguage: "),
    ],
)
def test_invalid_field_is_refused_with_its_name(alice, text_model, tool, fields, message):
    assert message in alice.refused(f"tool/{tool}", BODY | fields)


@pytest.mark.parametrize("tool", ALL)
def test_text_tool_has_no_tasks(alice, tool):
    assert "the response has the result" in alice.refused(f"tool/{tool}/queryTask", {"businessTaskId": "t"})
