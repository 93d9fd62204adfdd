"""The model names of a request are resolved once per admission."""

import hashlib

import pytest

from jobs.admission.admit import admit
from jobs.admission.model_choice.resolution import ModelResolver
from jobs.admission.quote import quote
from jobs.errors import Unsupported
from jobs.models import InputPicture, Job
from models_registry.errors import ModelNotFound
from models_registry.models import FOLDERS, Family, Kind, ModelFile


def test_default_checkpoint_is_looked_up_once(source, checkpoint, django_assert_num_queries):
    models = ModelResolver(source)
    with django_assert_num_queries(1):
        assert models.find(Kind.CHECKPOINT, "") == checkpoint
        assert models.find(Kind.CHECKPOINT, "") == checkpoint
        assert models.find(Kind.CHECKPOINT, checkpoint.name) == checkpoint


def test_new_resolver_does_not_find_a_file_that_was_disabled(source, checkpoint):
    ModelResolver(source).find(Kind.CHECKPOINT, checkpoint.name)
    checkpoint.enabled = False
    checkpoint.save()
    with pytest.raises(ModelNotFound):
        ModelResolver(source).find(Kind.CHECKPOINT, checkpoint.name)


def test_stored_request_is_validated_once(submission):
    job = Job.objects.get(pk=admit(submission()).pk)
    assert job.generation_request is job.generation_request


@pytest.fixture
def file(db):
    def file(kind, name, **fields):
        path = f"{FOLDERS[kind]}/{name}.safetensors"
        sha256 = hashlib.sha256(path.encode()).hexdigest()
        return ModelFile.objects.create(kind=kind, name=name, path=path, sha256=sha256, **fields)

    return file


@pytest.fixture
def bare(file):
    return file(Kind.CHECKPOINT, "bare", family=Family.SD15, without_vae=True)


def test_checkpoint_without_vae_is_refused_by_admission_and_quote(submission, bare):
    with pytest.raises(Unsupported, match="bare has no VAE") as refused:
        admit(submission(checkpoint="bare"))
    assert refused.value.field == "vae"
    assert [str(reason) for reason in quote(submission(checkpoint="bare")).refusals] == [str(refused.value)]


def test_checkpoint_without_vae_is_admitted_with_a_named_one(submission, bare, file):
    vae = file(Kind.VAE, "sepia")
    job = admit(submission(checkpoint="bare", vae="sepia"))
    assert job.files["vae:sepia"]["path"] == vae.path
    assert quote(submission(checkpoint="bare", vae="sepia")).is_accepted


def test_checkpoint_without_vae_gets_the_default_one(submission, bare, file):
    file(Kind.VAE, "other")
    file(Kind.VAE, "sepia", is_default=True)
    assert admit(submission(checkpoint="bare")).generation_request.vae == "sepia"
    assert admit(submission()).generation_request.vae == "", "the checkpoint's own"


def test_default_vae_does_not_replace_that_of_a_checkpoint_with_hires_pass(
    submission, bare, file, checkpoint
):
    file(Kind.VAE, "sepia", is_default=True)
    bare.become_default()
    hires = {"width": 128, "height": 128, "num_inference_steps": 2}
    assert admit(submission(checkpoint=checkpoint.name, hires=hires)).generation_request.vae == ""


def test_hires_checkpoint_needs_a_vae_and_a_refiner_does_not(submission, bare):
    hires = {"checkpoint": "bare", "width": 128, "height": 128, "num_inference_steps": 2}
    with pytest.raises(Unsupported, match="bare has no VAE"):
        admit(submission(hires=hires))
    admit(submission(refiner={"checkpoint": "bare", "switch_at": 0.5}))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Kind.CHECKPOINT, {"checkpoint": "broken"}),
        (Kind.LORA, {"loras": [{"name": "broken"}]}),
        (Kind.VAE, {"vae": "broken"}),
        (Kind.CHECKPOINT, {"refiner": {"checkpoint": "broken", "switch_at": 0.5}}),
    ],
)
def test_file_with_a_problem_is_refused_with_its_reason(submission, file, kind, fields):
    file(kind, "broken", problem="Not usable: it is quantized")
    with pytest.raises(Unsupported, match="broken: Not usable: it is quantized"):
        admit(submission(**fields))
    [refusal] = quote(submission(**fields)).refusals
    assert "it is quantized" in str(refusal)


def test_checkpoint_of_an_unknown_family_is_refused_in_words_without_field_names(submission, file):
    file(Kind.CHECKPOINT, "odd")
    with pytest.raises(Unsupported) as refused:
        admit(submission(checkpoint="odd"))
    assert str(refused.value) == "odd cannot be used: its family is not supported (unknown)."
    assert "checkpoint" not in str(refused.value), "dialects replace it by the name of their field"


def test_embedding_with_a_problem_is_not_found_in_prompts(submission, file):
    file(Kind.EMBEDDING, "girl", problem="Not usable: it has no vectors")
    job = admit(submission(prompt="a girl in red"))
    assert job.generation_request.embeddings == ()


def test_parts_of_a_lora_that_are_not_used_are_noted(submission, file):
    file(Kind.LORA, "night", left_out="2: a, b")
    job = admit(submission(loras=[{"name": "night"}]))
    assert "night: not used: 2: a, b" in job.transitions.get().note


IMAGE = "0" * 64


@pytest.fixture
def instruct(file, submission, db):
    InputPicture.objects.create(pk=IMAGE, file="x", size_bytes=1)
    return file(Kind.CHECKPOINT, "instruct", family=Family.SD15, instruct=True)


def editing(**fields):
    return {"task": "img2img", "init_images": ({"sha256": IMAGE},), "checkpoint": "instruct", **fields}


def test_instruct_checkpoint_edits_an_init_image(submission, instruct):
    job = admit(submission(**editing(image_guidance_scale=2.0)))
    assert job.generation_request.image_guidance_scale == 2.0


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"checkpoint": "instruct"}, "checkpoint", "instruct edits by instruction: it needs an init image"),
        (
            editing(checkpoint="shapes", image_guidance_scale=1.5),
            "image_guidance_scale",
            "image_guidance_scale is for InstructPix2Pix checkpoints only, and shapes is none",
        ),
        (
            {"checkpoint": "shapes", "refiner": {"checkpoint": "instruct"}},
            "checkpoint",
            "instruct edits by instruction: it cannot be the second checkpoint",
        ),
    ],
)
def test_instruct_checkpoints_and_others_are_not_mixed_up(submission, instruct, fields, field, message):
    with pytest.raises(Unsupported, match=message) as refused:
        admit(submission(**fields))
    assert refused.value.field == field
    assert [str(reason) for reason in quote(submission(**fields)).refusals] == [str(refused.value)]
