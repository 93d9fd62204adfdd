"""Textual inversions are applied if a prompt contains their name."""

import pytest

from jobs import errors
from jobs.admission.admit import admit
from models_registry.models import Family, Kind, ModelFile


@pytest.fixture
def embedding(db):
    def register(name: str, family: str = Family.SD15) -> ModelFile:
        path = f"embeddings/{name}.safetensors"
        return ModelFile.objects.create(
            kind=Kind.EMBEDDING, family=family, name=name, path=path, sha256="e" * 64
        )

    return register


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


def test_names_inside_tags_and_escaped_brackets_are_read_as_the_runner_reads_them(submission, embedding):
    for name in ("girl", "by (artist)", "by"):
        embedding(name)
    job = admit(submission(prompt=r"by \(artist\)"))
    assert job.generation_request.embeddings == ("by (artist)",)
    assert admit(submission(prompt="a [girl|boy]")).generation_request.embeddings == ("girl",)


def test_longer_name_of_another_family_does_not_hide_a_shorter_one(submission, embedding):
    embedding("bad")
    embedding("bad hands", Family.SDXL)
    assert admit(submission(prompt="bad hands")).generation_request.embeddings == ("bad",)


def test_prompt_with_too_many_embeddings_is_refused(submission, embedding):
    for number in range(65):
        embedding(f"e-{number}-")
    with pytest.raises(errors.Unsupported, match="65"):
        admit(submission(prompt=" ".join(f"e-{number}-" for number in range(65))))


def test_unknown_sampler_is_refused_where_embeddings_exist(submission, embedding):
    embedding("good-eyes")
    with pytest.raises(errors.Unsupported, match="Unknown sampler: Nope"):
        admit(submission(prompt="a circle", sampler="Nope"))
