"""What the text model makes of prompts is stored with the job, drawn, and never repeated."""

import pytest
from django.db import connection

from access.models import BusinessSource
from access.source_settings.prompt_modes import PromptMode
from jobs.admission.admit import admit
from jobs.admission.idempotency import Idempotency
from jobs.admission.prompts.language import prompt_warnings
from jobs.admission.quote import quote
from jobs.admission.rerun import rerun, retry
from jobs.errors import OverLimit, QueueFull, QuotaSpent, TextModelFailed, TextModelMissing, Unsupported
from jobs.execution import lifecycle
from jobs.models import Job
from jobs.selectors import revised_prompt
from models_registry.models import Family, Kind, ModelFile
from tests.support.text_model_server import DETAILS

TRANSLATE, EXPAND, AS_IS = PromptMode.TRANSLATE, PromptMode.EXPAND, PromptMode.AS_IS
HIRES = {"width": 128, "height": 128}


@pytest.fixture
def translating(source, text_model):
    source.prompt_mode = TRANSLATE
    source.save()
    return source


# What is drawn


def test_translated_prompts_are_drawn_and_the_written_ones_kept(submission, text_model):
    job = admit(submission(prompt="(一只猫:1.2), best quality", negative_prompt="丑", prompt_mode=TRANSLATE))
    job.refresh_from_db()
    request = job.generation_request
    assert (request.prompt, request.negative_prompt) == ("(a cat:1.2), best quality", "ugly")
    written = {"prompt": "(一只猫:1.2), best quality", "negative_prompt": "丑"}
    assert job.rewriting == {"mode": "translate", "written": written}
    assert revised_prompt(job) == request.prompt
    assert prompt_warnings(job) == []
    assert len(text_model.requests) == 1


def test_expanded_prompt_is_in_english(submission, text_model):
    job = admit(submission(prompt="一只猫", negative_prompt="blurry", prompt_mode=EXPAND))
    assert job.generation_request.prompt == f"a cat, {DETAILS}"
    assert job.generation_request.negative_prompt == "blurry"
    assert job.rewriting == {"mode": "expand", "written": {"prompt": "一只猫"}}


def test_prompts_of_the_hires_pass_are_translated(submission, text_model):
    hires = HIRES | {"prompt": "蓝色", "negative_prompt": ""}
    job = admit(submission(prompt="一只猫", hires=hires, prompt_mode=TRANSLATE))
    assert job.generation_request.hires.prompt == "blue"
    assert job.rewriting["written"] == {"prompt": "一只猫", "hires.prompt": "蓝色"}


def test_names_of_embeddings_and_loras_are_kept(submission, text_model, checkpoint):
    ModelFile.objects.create(
        kind=Kind.EMBEDDING, name="坏手", path="embeddings/坏手.pt", sha256="e" * 64, family=Family.SD15
    )
    job = admit(submission(prompt="一只猫 <lora:猫:0.5>", negative_prompt="坏手, 丑", prompt_mode=TRANSLATE))
    request = job.generation_request
    assert (request.prompt, request.negative_prompt) == ("a cat <lora:猫:0.5>", "坏手, ugly")
    assert request.embeddings == ("坏手",)


@pytest.mark.parametrize(
    ("prompt", "mode"), [("a cat", TRANSLATE), ("一只猫", AS_IS), ("", EXPAND), ("1, 2", EXPAND)]
)
def test_model_is_called_only_for_what_it_changes(submission, text_model, prompt, mode):
    job = admit(submission(prompt=prompt, prompt_mode=mode))
    assert (job.rewriting, job.generation_request.prompt) == ({}, prompt)
    assert text_model.requests == []
    assert revised_prompt(job) is None


def test_task_without_a_prompt_is_not_changed(submission, text_model):
    upscale = {"task": "upscale", "init_images": [{"sha256": "a" * 64}], "upscale": {}}
    with pytest.raises(Exception, match="image"):  # the input image is missing; the text model was not called
        admit(submission(prompt="一只猫", prompt_mode=EXPAND, **upscale))
    assert text_model.requests == []


# Which mode


def test_mode_of_the_source_applies_unless_the_request_chooses_one(submission, translating, text_model):
    assert admit(submission(prompt="一只猫")).generation_request.prompt == "a cat"
    assert admit(submission(prompt="一只猫", prompt_mode=AS_IS)).generation_request.prompt == "一只猫"
    assert admit(submission(prompt="一只猫", prompt_mode=EXPAND)).rewriting["mode"] == "expand"


def test_mode_of_the_dialect_comes_before_that_of_the_source(submission, translating, text_model):
    translating.prompt_modes = {"a1111": "as_is", "native": "expand"}
    translating.save()
    assert admit(submission(prompt="一只猫")).rewriting == {}
    assert admit(submission(prompt="一只猫", dialect="native")).rewriting["mode"] == "expand"
    assert admit(submission(prompt="一只猫", dialect="zhiqite")).rewriting["mode"] == "translate"


# Once


def test_replayed_request_does_not_call_the_model_again(submission, text_model):
    given = {"prompt": "一只猫", "prompt_mode": EXPAND, "idempotency": Idempotency("k", "f" * 64)}
    first = admit(submission(**given))
    text_model.misbehavior = "500"
    assert admit(submission(**given)) == first
    assert Job.objects.count() == 1
    assert len(text_model.requests) == 2  # translation and expansion


def test_repeated_callers_id_does_not_call_the_model_again(submission, text_model):
    given = {"prompt": "一只猫", "prompt_mode": TRANSLATE, "external_id": "mine"}
    assert admit(submission(**given)) == admit(submission(**given | {"prompt": "蓝色"}))
    assert len(text_model.requests) == 1


def test_repeated_job_draws_the_same_words(submission, translating, text_model):
    job = admit(submission(prompt="一只猫"))
    text_model.misbehavior = "500"
    again = rerun(job)
    assert (again.request["prompt"], again.rewriting) == ("a cat", job.rewriting)
    lifecycle.cancel(job.pk)
    job.refresh_from_db()
    assert retry(job).request["prompt"] == "a cat"
    assert len(text_model.requests) == 1


def test_database_is_not_locked_while_the_model_thinks(transactional_db, submission, source, text_model):
    think = text_model.server.answers["/v1/chat/completions"]

    def write_and_think(handler):
        BusinessSource.objects.filter(pk=source.pk).update(title="written meanwhile")
        connection.close()
        think(handler)

    text_model.server.answers["/v1/chat/completions"] = write_and_think
    assert admit(submission(prompt="一只猫", prompt_mode=TRANSLATE)).request["prompt"] == "a cat"
    source.refresh_from_db()
    assert source.title == "written meanwhile"


# Refused


def test_chosen_mode_that_fails_is_refused(submission, text_model):
    text_model.misbehavior = "500"
    with pytest.raises(TextModelFailed):
        admit(submission(prompt="一只猫", prompt_mode=TRANSLATE))
    assert not Job.objects.exists()


def test_mode_of_the_source_that_fails_is_a_warning(submission, translating, text_model):
    text_model.misbehavior = "prose"
    job = admit(submission(prompt="一只猫"))
    assert job.generation_request.prompt == "一只猫"
    first, second = prompt_warnings(job)
    assert first == (
        "the prompts are drawn as they were written: The text model failed: its answer cannot be used."
    )
    assert "Chinese" in second
    assert job.transitions.get().note == f"{first}; {second}"


def test_strict_source_is_refused_where_another_is_warned(submission, translating, text_model):
    translating.strict = True
    translating.save()
    assert admit(submission(prompt="一只猫", key=None, source=translating)).request["prompt"] == "a cat"
    text_model.misbehavior = "prose"
    with pytest.raises(TextModelFailed):
        admit(submission(prompt="蓝色", key=None, source=translating))


def test_optional_mode_that_fails_is_a_warning(submission, text_model):
    text_model.misbehavior = "500"
    job = admit(submission(prompt="a cat", prompt_mode=EXPAND, prompt_mode_required=False))
    assert "status 500" in prompt_warnings(job)[0]


def test_without_a_text_model(submission, source):
    for mode, prompt in ((TRANSLATE, "一只猫"), (EXPAND, "a cat")):
        with pytest.raises(TextModelMissing, match="TEXT_MODEL_URL") as caught:
            admit(submission(prompt=prompt, prompt_mode=mode))
        assert caught.value.field == "prompt"
    source.prompt_mode = EXPAND
    source.save()
    assert "TEXT_MODEL_URL" in prompt_warnings(admit(submission(key=None, source=source)))[0]


def test_source_without_the_right_to_the_text_model(submission, source, text_model):
    source.text_model = False
    source.save()
    with pytest.raises(TextModelMissing, match="shop may not use the text model"):
        admit(submission(prompt="一只猫", prompt_mode=TRANSLATE, key=None, source=source))
    assert text_model.requests == []


def test_request_beyond_a_limit_costs_no_call(submission, source, text_model):
    given = {"prompt": "一只猫", "prompt_mode": TRANSLATE, "key": None, "source": source}
    source.max_width = 32
    with pytest.raises(OverLimit):
        admit(submission(**given))
    source.max_width, source.max_queued_jobs = 2048, 0
    with pytest.raises(QueueFull):
        admit(submission(**given))
    source.max_queued_jobs, source.images_per_day = 9, 0
    source.save()
    with pytest.raises(QuotaSpent):
        admit(submission(**given))
    assert text_model.requests == []


def test_translation_beyond_the_limit_is_refused(submission, text_model, monkeypatch):
    monkeypatch.setattr("jobs.admission.prompts.rewriting.MAX_CHARACTERS", 10)
    with pytest.raises(Unsupported, match="at most 10 characters after its translation"):
        admit(submission(prompt="一只猫", prompt_mode=EXPAND))


def test_quote_calls_no_model(submission, source, text_model, settings):
    source.strict = True
    source.save()
    given = {"prompt": "一只猫", "prompt_mode": TRANSLATE}
    assert quote(submission(**given)).is_accepted
    assert text_model.requests == []
    settings.TEXT_MODEL_URL = ""
    (refused,) = quote(submission(**given)).refusals
    assert "TEXT_MODEL_URL" in refused.message
