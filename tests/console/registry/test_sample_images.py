"""Page of a model file: sample image, usage, and runners that have it loaded."""

import pytest

from jobs.execution import lifecycle
from jobs.models import Job, ModelSample, Output, Runner, State
from models_registry.models import Kind, ModelFile, StylePreset, WorkflowTemplate
from tests.support.fake_runner import png

pytestmark = pytest.mark.slow

LIST = "/admin/models_registry/checkpoint/"


@pytest.fixture
def generate(ops):
    def generate(file, **form):
        return ops.post(f"/admin/models_registry/modelfile/{file.pk}/sample/", form, follow=True)

    return generate


@pytest.fixture
def finish(storage_folder):
    """Ends a sample's job with an image, as a runner would."""

    def finish(job):
        folder = storage_folder / "outputs"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "0.png").write_bytes(png())
        job.outputs.create(
            index=0, file="outputs/0.png", sha256="0" * 64, size_bytes=1, width=64, height=64, seed=1
        )
        Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED)

    return finish


@pytest.fixture
def register(db):
    def register(kind, name, folder, **fields):
        return ModelFile.objects.create(
            kind=kind, name=name, path=f"{folder}/{name}.safetensors", family="sd15", **fields
        )

    return register


def test_sample_is_a_job_of_the_internal_source(generate, checkpoint):
    generate(checkpoint)
    job = Job.objects.get()
    assert (job.source.name, job.dialect, job.checkpoint) == ("console", "console", checkpoint)
    assert ModelSample.objects.get().file == checkpoint


def test_sample_uses_the_given_prompt(generate, checkpoint):
    generate(checkpoint, prompt="a green star")
    assert Job.objects.get().generation_request.prompt == "a green star"


@pytest.mark.parametrize(
    ("kind", "folder"),
    [
        (Kind.LORA, "loras"),
        (Kind.VAE, "vae"),
        (Kind.EMBEDDING, "embeddings"),
        (Kind.CONTROLNET, "controlnet"),
        (Kind.UPSCALER, "upscalers"),
        (Kind.MATTING, "matting"),
    ],
)
def test_other_kinds_are_sampled_with_the_default_checkpoint(generate, checkpoint, register, kind, folder):
    file = register(kind, "mine", folder, trigger_words="night sky")
    generate(file)
    job = Job.objects.get()
    assert job.checkpoint == checkpoint
    assert file.path in [entry["path"] for entry in job.files.values()]
    assert kind != Kind.LORA or "night sky" in job.generation_request.prompt


def test_sample_of_a_restricted_file_is_billed_to_its_source(generate, checkpoint, source):
    checkpoint.allowed_sources.add(source)
    generate(checkpoint)
    assert Job.objects.get().source == source


def test_disabled_file_is_not_sampled_and_the_reason_is_shown(generate, checkpoint):
    ModelFile.objects.update(enabled=False)
    assert "not found" in generate(checkpoint).content.decode()
    assert not Job.objects.exists()


def test_get_request_creates_no_sample(ops, checkpoint):
    assert ops.get(f"/admin/models_registry/modelfile/{checkpoint.pk}/sample/").status_code == 403
    assert not Job.objects.exists()


def test_page_polls_the_job_and_then_shows_the_image(ops, generate, finish, checkpoint):
    page = generate(checkpoint).content.decode()
    job = Job.objects.get()
    assert f'data-watch-job="/admin/jobs/job/{job.pk}/live/"' in page
    assert ops.get(f"/admin/jobs/job/{job.pk}/live/").json()["ended"] is False
    finish(job)
    assert ops.get(f"/admin/jobs/job/{job.pk}/live/").json()["ended"] is True
    assert "data-watch-job" not in ops.get(f"{LIST}{checkpoint.pk}/change/").content.decode()
    thumbnail = f"/admin/jobs/job/{job.pk}/pictures/0/thumbnail/"
    assert thumbnail in ops.get(f"{LIST}{checkpoint.pk}/change/").content.decode()
    assert thumbnail in ops.get(LIST).content.decode()
    assert ops.get(thumbnail).headers["Content-Type"] == "image/webp"


def test_failed_sample_keeps_the_previous_image(ops, generate, finish, checkpoint):
    generate(checkpoint)
    first = Job.objects.get()
    finish(first)
    generate(checkpoint)
    lifecycle.cancel(Job.objects.exclude(pk=first.pk).get().pk)
    assert str(first.pk) in ops.get(LIST).content.decode()
    assert Output.objects.count() == 1


def test_number_of_queries_does_not_depend_on_the_number_of_samples(ops, generate, finish, register):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def queries():
        with CaptureQueriesContext(connection) as captured:
            ops.get(LIST)
        return len(captured)

    generate(register(Kind.CHECKPOINT, "first", "checkpoints"))
    finish(Job.objects.get())
    few = queries()
    for number in range(4):
        generate(register(Kind.CHECKPOINT, f"more-{number}", "checkpoints"))
        finish(Job.objects.filter(state=State.QUEUED).get())
    assert queries() == few


def test_page_shows_the_runners_that_have_the_file_loaded(ops, checkpoint):
    Runner.objects.create(name="north", url="http://127.0.0.1:9", loaded=[checkpoint.sha256])
    Runner.objects.create(name="south", url="http://127.0.0.1:9", loaded=["another"])
    (row,) = ops.get(LIST).context["cl"].result_list
    assert row.loaded_on == ["north"]
    text = ops.get(f"{LIST}{checkpoint.pk}/change/").content.decode()
    assert "north" in text
    assert "south" not in text


def test_page_shows_where_the_file_is_used(ops, checkpoint, submission):
    from jobs.admission.admit import admit

    StylePreset.objects.create(key="ghibli", checkpoint=checkpoint)
    node = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "shapes.safetensors"}}
    WorkflowTemplate.objects.create(name="mine", graph={"1": node}, slots={})
    admit(submission())
    text = ops.get(f"{LIST}{checkpoint.pk}/change/").content.decode()
    assert "ghibli" in text
    assert "workflowtemplate" in text
    assert "<dd>1: shop 1</dd>" in text
