"""Admin of jobs: page, images, permissions and search."""

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


def test_page_of_a_job_shows_request_timeline_and_images(ops, job, output):
    page = ops.get(f"/admin/jobs/job/{job.pk}/change/").content.decode()
    assert "&lt;b&gt;a red circle&lt;/b&gt;" in page
    assert "queued" in page
    assert f"/admin/jobs/job/{job.pk}/pictures/0/" in page


def test_images_are_served_in_full_size_and_as_thumbnails(ops, job, output):
    full_size = ops.get(f"/admin/jobs/job/{job.pk}/pictures/0/")
    thumbnail = ops.get(f"/admin/jobs/job/{job.pk}/pictures/0/thumbnail/")
    assert (full_size.headers["Content-Type"], Image.open(io.BytesIO(full_size.content)).size) == (
        "image/png",
        (512, 256),
    )
    assert (thumbnail.headers["Content-Type"], Image.open(io.BytesIO(thumbnail.content)).size) == (
        "image/webp",
        (256, 128),
    )


@pytest.mark.parametrize("page", ["pictures/0/", "pictures/0/thumbnail/"])
def test_images_require_permission_to_view_jobs(client, django_user_model, job, output, page):
    url = f"/admin/jobs/job/{job.pk}/{page}"
    assert client.get(url).status_code == 302
    client.force_login(django_user_model.objects.create_user("other", is_staff=True))
    assert client.get(url).status_code == 403


def test_missing_image_is_not_found(ops, job):
    assert ops.get(f"/admin/jobs/job/{job.pk}/pictures/3/").status_code == 404


def test_cancelling_ends_a_queued_job(act, job):
    act("jobs/job", "cancel", job)
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    assert job.transitions.last().note == "console: admin"


def test_jobs_cannot_be_added_changed_or_deleted(ops, job):
    assert ops.get("/admin/jobs/job/add/").status_code == 403
    assert ops.post(f"/admin/jobs/job/{job.pk}/delete/", {"post": "yes"}).status_code == 403
    assert ops.post(f"/admin/jobs/job/{job.pk}/change/", {"state": "failed"}).status_code == 403


@pytest.mark.parametrize("term", ["{job.pk}", " {job.pk} ", "order-1", "order-17"])
def test_job_is_found_by_its_id_and_its_external_id(ops, submission, term):
    job = admit(submission(external_id="order-17"))
    page = ops.get("/admin/jobs/job/", {"q": term.format(job=job)}).content.decode()
    assert str(job.pk) in page


def test_token_of_a_runner_can_be_set_but_is_never_shown(ops, db):
    runner = Runner.objects.create(name="local", url="http://127.0.0.1:9", token="old-token")
    page = f"/admin/jobs/runner/{runner.pk}/change/"
    assert "old-token" not in ops.get(page).content.decode()
    form = {"name": "local", "url": "http://127.0.0.1:9", "backend": "pipeline", "draining": "on"}
    ops.post(page, form | {"new_token": ""})
    assert Runner.objects.get().token == "old-token"
    ops.post(page, form | {"new_token": "new-token"})
    assert (Runner.objects.get().token, Runner.objects.get().draining) == ("new-token", True)


def test_page_of_a_job_does_not_need_the_encryption_key(ops, job, settings):
    Job.objects.update(
        runner=Runner.objects.create(name="local", url="http://127.0.0.1:9", token="old-token")
    )
    settings.FIELD_ENCRYPTION_KEYS = ["another"]
    assert ops.get(f"/admin/jobs/job/{job.pk}/change/").status_code == 200
