"""Copies of a job's images at its storage target: complete when the job has succeeded."""

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
def execute(live_runner):
    def execute(submission) -> Job:
        job = admit(submission)
        for lease in claim_next(live_runner.name, 4):
            run_job(str(lease.job_id), lease.attempt)
        job.refresh_from_db()
        return job

    return execute


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_every_image_is_copied_under_an_unguessable_name(execute, submission, target, tmp_path):
    job = execute(submission(storage_target=target, num_images=2))
    copies = files_in(tmp_path / "targets" / "img" / "shop")
    names = {output.target_name for output in job.outputs.all()}
    assert {str(path.relative_to(tmp_path / "targets")) for path in copies} == names
    assert len(names) == 2
    assert all(len(path.stem.partition("-")[2]) == 16 for path in copies)


def test_unwritable_target_fails_the_job_and_leaves_no_files(
    execute, submission, target, tmp_path, storage_folder
):
    (tmp_path / "targets").write_text("not a folder")
    job = execute(submission(storage_target=target, num_images=2))
    assert (job.state, job.error_code) == ("failed", "copy_failed")
    assert job.cost == 0
    assert files_in(storage_folder) == []


def test_without_a_target_nothing_is_copied(execute, submission, target, tmp_path):
    assert execute(submission()).state == "succeeded"
    assert not (tmp_path / "targets").exists()


@pytest.mark.parametrize(
    "name",
    ["nothing", "../../outputs/x", "img/shop/00000000-0000-0000-0000-000000000000/0-a.png", "%00", "a/b/c"],
)
def test_only_copies_of_outputs_are_served(client, execute, submission, target, name):
    execute(submission(storage_target=target))
    assert client.get(f"/targets/{name}").status_code == 404


def test_a_deleted_copy_is_not_found(client, execute, submission, target):
    job = execute(submission(storage_target=target))
    (url,) = copy.urls(job, "")
    assert client.get(url).status_code == 200
    target.files.delete(job.outputs.get().target_name)
    assert client.get(url).status_code == 404


@pytest.mark.parametrize(
    "invalid",
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
def test_invalid_target_fails_validation(target, invalid):
    for name, value in invalid.items():
        setattr(target, name, value)
    with pytest.raises(ValidationError):
        target.full_clean()
