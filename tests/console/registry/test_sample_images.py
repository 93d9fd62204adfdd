"""A model's page: its sample picture, where it is used, who has it in memory."""

import pytest

from jobs.execution import lifecycle
from jobs.models import Job, ModelSample, Output, Runner, State
from models_registry.models import Kind, ModelFile, StylePreset, WorkflowTemplate
from tests.support.fake_runner import png

LIST = "/admin/models_registry/checkpoint/"


@pytest.fixture
def draw(ops):
    def draw(file, **form):
        return ops.post(f"/admin/models_registry/modelfile/{file.pk}/sample/", form, follow=True)

    return draw


@pytest.fixture
def drawn(storage_folder):
    """Ends a sample's job as a runner would have."""

    def drawn(job):
        folder = storage_folder / "outputs"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "0.png").write_bytes(png())
        job.outputs.create(
            index=0, file="outputs/0.png", sha256="0" * 64, size_bytes=1, width=64, height=64, seed=1
        )
        Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED)

    return drawn


@pytest.fixture
def register(db):
    def register(kind, name, folder, **fields):
        return ModelFile.objects.create(
            kind=kind, name=name, path=f"{folder}/{name}.safetensors", family="sd15", **fields
        )

    return register


def test_a_sample_is_a_job_of_the_platforms_own_source(draw, checkpoint):
    draw(checkpoint)
    job = Job.objects.get()
    assert (job.source.name, job.dialect, job.checkpoint) == ("console", "console", checkpoint)
    assert ModelSample.objects.get().file == checkpoint


def test_a_sample_may_have_a_prompt(draw, checkpoint):
    draw(checkpoint, prompt="a green star")
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
def test_what_draws_nothing_alone_is_drawn_with_the_default_checkpoint(
    draw, checkpoint, register, kind, folder
):
    file = register(kind, "mine", folder, trigger_words="night sky")
    draw(file)
    job = Job.objects.get()
    assert job.checkpoint == checkpoint
    assert file.path in [kept["path"] for kept in job.files.values()]
    assert kind != Kind.LORA or "night sky" in job.generation_request.prompt


def test_a_file_that_only_some_may_use_is_drawn_on_their_account(draw, checkpoint, source):
    checkpoint.allowed_sources.add(source)
    draw(checkpoint)
    assert Job.objects.get().source == source


def test_a_disabled_file_is_not_drawn_with_and_the_page_says_why(draw, checkpoint):
    ModelFile.objects.update(enabled=False)
    assert "not found" in draw(checkpoint).content.decode()
    assert not Job.objects.exists()


def test_a_link_draws_nothing(ops, checkpoint):
    assert ops.get(f"/admin/models_registry/modelfile/{checkpoint.pk}/sample/").status_code == 403
    assert not Job.objects.exists()


def test_the_page_follows_the_job_and_then_shows_the_picture(ops, draw, drawn, checkpoint):
    page = draw(checkpoint).content.decode()
    job = Job.objects.get()
    assert f'data-watch-job="/admin/jobs/job/{job.pk}/live/"' in page
    assert ops.get(f"/admin/jobs/job/{job.pk}/live/").json()["ended"] is False
    drawn(job)
    assert ops.get(f"/admin/jobs/job/{job.pk}/live/").json()["ended"] is True
    assert "data-watch-job" not in ops.get(f"{LIST}{checkpoint.pk}/change/").content.decode()
    thumbnail = f"/admin/jobs/job/{job.pk}/pictures/0/thumbnail/"
    assert thumbnail in ops.get(f"{LIST}{checkpoint.pk}/change/").content.decode()
    assert thumbnail in ops.get(LIST).content.decode()
    assert ops.get(thumbnail).headers["Content-Type"] == "image/webp"


def test_a_failed_sample_keeps_the_last_picture(ops, draw, drawn, checkpoint):
    draw(checkpoint)
    first = Job.objects.get()
    drawn(first)
    draw(checkpoint)
    lifecycle.cancel(Job.objects.exclude(pk=first.pk).get().pk)
    assert str(first.pk) in ops.get(LIST).content.decode()
    assert Output.objects.count() == 1


def test_a_list_of_models_asks_as_much_for_many_samples_as_for_one(ops, draw, drawn, register):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def asked():
        with CaptureQueriesContext(connection) as captured:
            ops.get(LIST)
        return len(captured)

    draw(register(Kind.CHECKPOINT, "first", "checkpoints"))
    drawn(Job.objects.get())
    few = asked()
    for number in range(4):
        draw(register(Kind.CHECKPOINT, f"more-{number}", "checkpoints"))
        drawn(Job.objects.filter(state=State.QUEUED).get())
    assert asked() == few


def test_a_page_tells_who_has_the_file_in_memory(ops, checkpoint):
    Runner.objects.create(name="north", url="http://127.0.0.1:9", loaded=[checkpoint.sha256])
    Runner.objects.create(name="south", url="http://127.0.0.1:9", loaded=["another"])
    (row,) = ops.get(LIST).context["cl"].result_list
    assert row.warm_on == ["north"]
    text = ops.get(f"{LIST}{checkpoint.pk}/change/").content.decode()
    assert "north" in text
    assert "south" not in text


def test_a_page_tells_where_the_file_is_used(ops, checkpoint, submission):
    from jobs.admission.admit import admit

    StylePreset.objects.create(key="ghibli", checkpoint=checkpoint)
    node = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "shapes.safetensors"}}
    WorkflowTemplate.objects.create(name="mine", graph={"1": node}, slots={})
    admit(submission())
    text = ops.get(f"{LIST}{checkpoint.pk}/change/").content.decode()
    assert "ghibli" in text
    assert "workflowtemplate" in text
    assert "1 of the newest 1: shop 1" in text
