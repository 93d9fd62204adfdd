"""Prompts in a language that the text encoder does not know are never drawn in silence."""

import pytest

from jobs.admission.admit import admit
from jobs.admission.prompts.language import prompt_warnings
from jobs.admission.quote import quote
from jobs.errors import Unsupported
from jobs.models import Backend

WARNING = "the prompts have Chinese text, which the model's text encoder does not know: use English"


def test_client_and_operators_are_warned(submission):
    job = admit(submission(prompt="一只小狗"))
    assert prompt_warnings(job) == [WARNING]
    assert job.transitions.get().note == WARNING
    assert prompt_warnings(admit(submission(prompt="a dog"))) == []


def test_strict_source_is_refused(submission, source):
    source.strict = True
    source.save()
    for fields in ({"prompt": "一只小狗"}, {"prompt": "a dog", "negative_prompt": "丑"}):
        with pytest.raises(Unsupported, match="Chinese") as caught:
            admit(submission(**fields))
        assert caught.value.field == "prompt"
        assert [refused.message for refused in quote(submission(**fields)).refusals] == [WARNING]
    assert admit(submission(prompt="a dog"))


def test_models_of_a_comfyui_server_may_know_other_languages(submission):
    job = admit(submission(prompt="一只小狗"))
    job.backend = Backend.COMFYUI
    assert prompt_warnings(job) == []
