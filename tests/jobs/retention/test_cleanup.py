import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone
from django_q.models import Schedule
from PIL import Image

from access.models import AccessKey, BusinessSource, Posting
from gpu_runner.protocol import Done
from jobs.admission.admit import admit
from jobs.admission.rerun import retry
from jobs.billing import ledger_check
from jobs.errors import InvalidImage
from jobs.execution import lifecycle
from jobs.images import storage
from jobs.models import ArchivedJob, InputPicture, Job, JobInput, Output, State
from jobs.models.callback import Callback, CallbackState
from jobs.retention import cleanup
from jobs.retention.cleanup import CleanupCounts, tidy

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


def png(shade: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def old(submission, runner) -> Callable[..., Job]:
    """``old(days, inputs=[png], **submission)``: a job that succeeded that many days ago, with one output."""

    def old(days: float, inputs: tuple[bytes, ...] = (), **fields) -> Job:
        stored = tuple(storage.store_input(data) for data in inputs)
        job = admit(submission(**({"init_images": stored, "task": "img2img"} if inputs else {}), **fields))
        lease = lifecycle.claim(job.pk, runner)
        output = storage.keep(Output(index=0, width=8, height=8, seed=1), job, png(), "png")
        lifecycle.succeed(lease, Done(steps_run=20, device_seconds=2, engine_seconds=3), [output])
        backdate(job, days)
        job.refresh_from_db()
        return job

    return old


def backdate(job: Job, days: float) -> None:
    then = timezone.now() - timedelta(days=days)
    Job.objects.filter(pk=job.pk).update(created_at=then, finished_at=then)
    InputPicture.objects.update(used_at=timezone.now() - timedelta(days=days))


def set_retention(source: BusinessSource, **days: int) -> None:
    BusinessSource.objects.filter(pk=source.pk).update(**days)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# Defaults


def test_everything_is_kept_by_default(old, storage_folder):
    old(10_000, inputs=(png(),))
    assert tidy() == CleanupCounts()
    assert (Job.objects.count(), Output.objects.count(), InputPicture.objects.count()) == (1, 1, 1)


def test_retention_applies_per_source(old, source, other_source, storage_folder):
    set_retention(other_source, keep_pictures_days=1, keep_jobs_days=1)
    old(10_000)
    assert tidy() == CleanupCounts()


def test_unfinished_job_is_kept(submission, source):
    job = admit(submission())
    set_retention(source, keep_jobs_days=1, keep_pictures_days=1, keep_inputs_days=1)
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(days=9))
    assert tidy() == CleanupCounts()


# Outputs


def test_old_outputs_are_deleted_and_the_job_is_kept(old, source, storage_folder):
    job, recent = old(8), old(6)
    set_retention(source, keep_pictures_days=7)
    assert tidy() == CleanupCounts(pictures=1)
    assert list(Output.objects.values_list("job", flat=True)) == [recent.pk]
    assert len(files(storage_folder)) == 1
    assert Job.objects.get(pk=job.pk).state == State.SUCCEEDED


def test_platform_default_applies_to_sources_without_a_setting(old, source, settings):
    settings.KEEP_PICTURES_DAYS = 7
    old(8)
    set_retention(source, keep_pictures_days=30)
    assert tidy() == CleanupCounts()
    set_retention(source, keep_pictures_days=None)
    assert tidy() == CleanupCounts(pictures=1)


def test_interrupted_deletion_is_completed(old, source, storage_folder):
    old(8)
    set_retention(source, keep_pictures_days=7)

    storage.delete_files(Output.objects.all())
    assert (files(storage_folder), Output.objects.count()) == ([], 1)
    assert tidy() == CleanupCounts(pictures=1)


def test_deletion_continues_over_several_batches(old, source, monkeypatch):
    monkeypatch.setattr(cleanup, "BATCH", 2)
    for _ in range(5):
        old(8)
    set_retention(source, keep_pictures_days=7)
    assert tidy() == CleanupCounts(pictures=5)


def test_cleanup_stops_at_its_time_limit(old, source):
    old(8)
    set_retention(source, keep_pictures_days=7)
    assert tidy(time_limit_s=-1) == CleanupCounts()
    assert tidy() == CleanupCounts(pictures=1)


# Inputs


def test_old_inputs_are_deleted_with_their_files(old, source, storage_folder):
    old(8, inputs=(png(1),))
    set_retention(source, keep_inputs_days=7)
    assert tidy() == CleanupCounts(inputs=1)
    assert not InputPicture.objects.exists()
    assert not (storage_folder / "inputs").exists() or not files(storage_folder / "inputs")


def test_input_used_by_another_job_is_kept(old, source, other_source, submission):
    old(8, inputs=(png(1),))
    recent = old(1, inputs=(png(1),))
    set_retention(source, keep_inputs_days=7)
    InputPicture.objects.update(used_at=timezone.now() - timedelta(days=8))
    tidy()
    assert InputPicture.objects.exists()
    assert list(JobInput.objects.values_list("job", flat=True)) == [recent.pk]


def test_recently_uploaded_input_is_kept(old, source):
    old(8, inputs=(png(1),))
    set_retention(source, keep_inputs_days=7)
    storage.store_input(png(1))
    tidy()
    assert InputPicture.objects.exists()


def test_job_without_its_inputs_cannot_be_repeated(old, source):
    job = old(8, inputs=(png(1),))
    set_retention(source, keep_inputs_days=7)
    tidy()
    with pytest.raises(InvalidImage, match="is not stored"):
        retry(job)


def test_unused_input_is_deleted_after_the_platform_default(settings):
    storage.store_input(png(1))
    settings.KEEP_INPUTS_DAYS = 7
    assert tidy() == CleanupCounts()
    InputPicture.objects.update(used_at=timezone.now() - timedelta(days=8))
    assert tidy() == CleanupCounts(inputs=1)


def test_admitted_job_records_its_inputs(submission):
    stored = storage.store_input(png(1))
    job = admit(submission(init_images=(stored,), task="img2img"))
    assert list(job.inputs.values_list("sha256", flat=True)) == [stored.sha256]


def test_input_of_a_queued_job_is_kept(submission, source, settings):
    settings.KEEP_INPUTS_DAYS = 1
    set_retention(source, keep_inputs_days=1)
    admit(submission(init_images=(storage.store_input(png(1)),), task="img2img"))
    InputPicture.objects.update(used_at=timezone.now() - timedelta(days=8))
    assert tidy() == CleanupCounts()


# Jobs


def test_old_job_is_deleted_with_its_files_and_its_postings_are_kept(old, source, storage_folder):
    job = old(31, inputs=(png(1),))
    set_retention(source, keep_jobs_days=30)
    assert tidy() == CleanupCounts(jobs=1)
    assert not Job.objects.exists()
    assert (Output.objects.count(), InputPicture.objects.count(), files(storage_folder)) == (0, 0, [])
    assert {Posting.Kind.RESERVE, Posting.Kind.SETTLE} <= set(
        Posting.objects.filter(job_id=job.pk).values_list("kind", flat=True)
    )


def test_ledger_is_consistent_after_jobs_are_deleted(old, source):
    old(31)
    set_retention(source, keep_jobs_days=30)
    tidy()
    assert list(ledger_check.inconsistencies()) == []


def test_job_with_an_undelivered_callback_is_kept(old, source):
    job = old(31)
    callback = Callback.objects.create(job=job, dialect="native", url="http://x", state=CallbackState.PENDING)
    set_retention(source, keep_jobs_days=30)
    assert tidy() == CleanupCounts()
    Callback.objects.filter(pk=callback.pk).update(state=CallbackState.DEAD)
    assert tidy() == CleanupCounts(jobs=1)


def test_repetition_is_kept_when_the_original_is_deleted(old, source):
    job = old(31)
    again = old(1, repeats=job)
    set_retention(source, keep_jobs_days=30)
    tidy()
    again.refresh_from_db()
    assert again.repeats is None


# The archive


def test_old_job_without_outputs_is_archived(old, source, settings):
    job = old(100, inputs=(png(1),))
    set_retention(source, keep_pictures_days=30)
    settings.ARCHIVE_JOBS_DAYS = 90
    done = tidy()
    assert (done.pictures, done.archived) == (1, 1)
    assert not Job.objects.exists()
    archived = ArchivedJob.objects.get(pk=job.pk)
    assert (archived.source, archived.state, archived.cost) == (source, "succeeded", job.cost)
    assert archived.record["request"]["prompt"] == "a red circle"
    assert archived.record["rewriting"] == {}
    assert [line[2] for line in archived.record["timeline"]] == ["queued", "running", "succeeded"]
    assert not InputPicture.objects.exists()


def test_job_with_outputs_is_not_archived(old, settings):
    old(100)
    settings.ARCHIVE_JOBS_DAYS = 90
    assert tidy() == CleanupCounts()


def test_archived_job_is_deleted_after_its_retention(old, source, settings):
    old(100)
    settings.ARCHIVE_JOBS_DAYS, settings.KEEP_PICTURES_DAYS = 90, 30
    tidy()
    set_retention(source, keep_jobs_days=99)
    assert tidy() == CleanupCounts(jobs=1)
    assert not ArchivedJob.objects.exists()


# Keys


def test_temporary_key_is_deleted_a_week_after_its_expiry(old, source):
    key, _secret, _token = AccessKey.issue_temporary(source, timedelta(hours=1))
    old(1, key=key)
    AccessKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(days=8))
    assert tidy() == CleanupCounts(keys=1)
    assert Job.objects.get().key is None


def test_permanent_keys_are_kept(source):
    key, _secret = AccessKey.issue(source)
    AccessKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(days=800))
    assert tidy() == CleanupCounts()


# Schedule and command


def test_command_prints_the_counts(old, source):
    old(8)
    set_retention(source, keep_pictures_days=7)
    out = io.StringIO()
    call_command("tidy", stdout=out)
    assert out.getvalue().startswith("deleted: images 1, inputs 0")


def test_cleanup_is_scheduled_hourly():
    assert Schedule.objects.get(func="jobs.retention.cleanup.tidy").schedule_type == Schedule.HOURLY
