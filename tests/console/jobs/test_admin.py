import io

import pytest
from django.core.files.base import ContentFile
from PIL import Image

from jobs.admission.admit import admit
from jobs.models import Job, Output, Runner, State


@pytest.fixture
def job(submission) -> Job:
    return admit(submission(prompt="<b>a red circle</b>"))


@pytest.fixture
def output(job) -> Output:
    png = io.BytesIO()
    Image.new("RGB", (512, 256), "red").save(png, "PNG")
    output = Output(job=job, index=0, sha256="0" * 64, size_bytes=1, width=512, height=256, seed=7)
    output.file.save("outputs/red.png", ContentFile(png.getvalue()))
    return output


def test_the_page_of_a_job_shows_request_timeline_and_pictures(ops, job, output):
    page = ops.get(f"/admin/jobs/job/{job.pk}/change/").content.decode()
    assert "&lt;b&gt;a red circle&lt;/b&gt;" in page
    assert "queued" in page
    assert f"/admin/jobs/job/{job.pk}/pictures/0/" in page


def test_pictures_are_served_whole_and_small(ops, job, output):
    whole = ops.get(f"/admin/jobs/job/{job.pk}/pictures/0/")
    small = ops.get(f"/admin/jobs/job/{job.pk}/pictures/0/thumbnail/")
    assert (whole.headers["Content-Type"], Image.open(io.BytesIO(whole.content)).size) == (
        "image/png",
        (512, 256),
    )
    assert (small.headers["Content-Type"], Image.open(io.BytesIO(small.content)).size) == (
        "image/webp",
        (256, 128),
    )


@pytest.mark.parametrize("page", ["pictures/0/", "pictures/0/thumbnail/"])
def test_pictures_are_for_those_who_may_see_jobs(client, django_user_model, job, output, page):
    url = f"/admin/jobs/job/{job.pk}/{page}"
    assert client.get(url).status_code == 302
    client.force_login(django_user_model.objects.create_user("stranger", is_staff=True))
    assert client.get(url).status_code == 403


def test_a_picture_that_does_not_exist_is_not_found(ops, job):
    assert ops.get(f"/admin/jobs/job/{job.pk}/pictures/3/").status_code == 404


def test_cancelling_ends_a_queued_job(act, job):
    act("jobs/job", "cancel", job)
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    assert job.transitions.last().note == "console: admin"


def test_jobs_cannot_be_changed_or_deleted_by_hand(ops, job):
    assert ops.get("/admin/jobs/job/add/").status_code == 403
    assert ops.post(f"/admin/jobs/job/{job.pk}/delete/", {"post": "yes"}).status_code == 403
    assert ops.post(f"/admin/jobs/job/{job.pk}/change/", {"state": "failed"}).status_code == 403


@pytest.mark.parametrize("words", ["{job.pk}", " {job.pk} ", "order-1", "order-17"])
def test_a_job_is_found_by_its_id_and_by_the_callers(ops, submission, words):
    job = admit(submission(external_id="order-17"))
    page = ops.get("/admin/jobs/job/", {"q": words.format(job=job)}).content.decode()
    assert str(job.pk) in page


def test_the_token_of_a_runner_is_written_but_never_shown(ops, db):
    runner = Runner.objects.create(name="local", url="http://127.0.0.1:9", token="hush-hush")
    page = f"/admin/jobs/runner/{runner.pk}/change/"
    assert "hush-hush" not in ops.get(page).content.decode()
    form = {"name": "local", "url": "http://127.0.0.1:9", "backend": "pipeline", "draining": "on"}
    ops.post(page, form | {"new_token": ""})
    assert Runner.objects.get().token == "hush-hush"
    ops.post(page, form | {"new_token": "psst"})
    assert (Runner.objects.get().token, Runner.objects.get().draining) == ("psst", True)


def test_the_page_of_a_job_opens_after_the_encryption_key_is_lost(ops, job, settings):
    Job.objects.update(
        runner=Runner.objects.create(name="local", url="http://127.0.0.1:9", token="hush-hush")
    )
    settings.FIELD_ENCRYPTION_KEYS = ["another"]
    assert ops.get(f"/admin/jobs/job/{job.pk}/change/").status_code == 200
