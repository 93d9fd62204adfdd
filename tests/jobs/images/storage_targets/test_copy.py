"""A job's pictures at the target that ops defined: there when the job has succeeded, and never half."""

import pytest
from django.core.exceptions import ValidationError

from jobs.admission.admit import admit
from jobs.images.storage_targets import copy
from jobs.models import Job
from jobs.models.storage_target import StorageTarget
from jobs.scheduling.dispatcher import claim_next
from jobs.tasks import run_job

pytestmark = pytest.mark.slow


@pytest.fixture
def target(db):
    return StorageTarget.objects.create(channel="1202", folder="img/shop")


@pytest.fixture
def run(live_runner):
    def run(submission) -> Job:
        job = admit(submission)
        for lease in claim_next(live_runner.name, 4):
            run_job(str(lease.job_id), lease.attempt)
        job.refresh_from_db()
        return job

    return run


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_every_picture_is_copied_under_a_name_that_cannot_be_guessed(run, submission, target, tmp_path):
    job = run(submission(storage_target=target, num_images=2))
    copies = files_in(tmp_path / "targets" / "img" / "shop")
    names = {output.target_name for output in job.outputs.all()}
    assert {str(path.relative_to(tmp_path / "targets")) for path in copies} == names
    assert len(names) == 2
    assert all(len(path.stem.partition("-")[2]) == 16 for path in copies)


def test_a_target_that_cannot_be_written_fails_the_job_and_leaves_nothing(
    run, submission, target, tmp_path, storage_folder
):
    (tmp_path / "targets").write_text("not a folder")
    job = run(submission(storage_target=target, num_images=2))
    assert (job.state, job.error_code) == ("failed", "copy_failed")
    assert job.cost == 0
    assert files_in(storage_folder) == []


def test_without_a_target_nothing_is_copied(run, submission, target, tmp_path):
    assert run(submission()).state == "succeeded"
    assert not (tmp_path / "targets").exists()


@pytest.mark.parametrize(
    "name",
    ["nothing", "../../outputs/x", "img/shop/00000000-0000-0000-0000-000000000000/0-a.png", "%00", "a/b/c"],
)
def test_only_what_is_a_jobs_picture_is_served(client, run, submission, target, name):
    run(submission(storage_target=target))
    assert client.get(f"/targets/{name}").status_code == 404


def test_a_deleted_copy_is_not_found(client, run, submission, target):
    job = run(submission(storage_target=target))
    (url,) = copy.urls(job, "")
    assert client.get(url).status_code == 200
    target.files.delete(job.outputs.get().target_name)
    assert client.get(url).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"storage": "default"},
        {"storage": "nowhere"},
        {"folder": "../up"},
        {"folder": "/root"},
        {"folder": "a//b"},
        {"public_host": "ftp://img"},
        {"channel": "a/b"},
    ],
    ids=str,
)
def test_a_target_that_could_not_work_is_not_saved_in_the_console(target, wrong):
    for name, value in wrong.items():
        setattr(target, name, value)
    with pytest.raises(ValidationError):
        target.full_clean()
