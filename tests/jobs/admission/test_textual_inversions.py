"""Textual inversions are applied if a prompt contains their name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import errors
from jobs.admission.admit import admit
from jobs.admission.textual_inversions import named_in
from models_registry.models import Family, Kind, ModelFile


@pytest.fixture
def embedding(db):
    def register(name: str, family: str = Family.SD15) -> ModelFile:
        path = f"embeddings/{name}.safetensors"
        return ModelFile.objects.create(
            kind=Kind.EMBEDDING, family=family, name=name, path=path, sha256="e" * 64
        )

    return register


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a photo, BAD-hands", True),
        ("(bad-hands:1.2)", True),
        ("[bad-hands|x]", True),
        ("2bad-hands3", True),
        ("bad-handsome", False),
        ("toobad-hands", False),
        ("bad hands", False),
        ("", False),
    ],
)
def test_names_match_whole_words_case_insensitively(text, named):
    assert named_in([text], ["bad-hands"]) == ["bad-hands"] * named


@given(st.lists(st.text(max_size=20), max_size=3), st.text(max_size=5))
def test_any_name_can_be_searched_in_any_text(texts, name):
    named_in(texts, [name])


def test_embeddings_named_in_the_prompts_are_added_to_the_job(submission, embedding):
    for name in ("bad-hands", "good-eyes", "unsaid"):
        embedding(name)
    job = admit(submission(prompt="good-eyes", negative_prompt="Bad-Hands"))
    assert job.generation_request.embeddings == ("bad-hands", "good-eyes")
    assert set(job.files) == {"embedding:bad-hands", "embedding:good-eyes"}


def test_embeddings_of_other_sources_or_families_are_ignored(submission, embedding, other_source):
    embedding("theirs").allowed_sources.add(other_source)
    embedding("large", Family.SDXL)
    assert admit(submission(prompt="theirs, large")).generation_request.embeddings == ()


def test_prompt_with_too_many_embeddings_is_refused(submission, embedding):
    for number in range(65):
        embedding(f"e-{number}-")
    with pytest.raises(errors.Unsupported, match="65"):
        admit(submission(prompt=" ".join(f"e-{number}-" for number in range(65))))
