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
from jobs.retention.cleanup import Tidied, tidy

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


def png(shade: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def old(submission, runner) -> Callable[..., Job]:
    """``old(days, inputs=[png], **submission)``: a job that succeeded so long ago, with one picture."""

    def old(days: float, inputs: tuple[bytes, ...] = (), **fields) -> Job:
        stored = tuple(storage.store_input(data) for data in inputs)
        job = admit(submission(**({"init_images": stored, "task": "img2img"} if inputs else {}), **fields))
        lease = lifecycle.claim(job.pk, runner)
        output = storage.keep(Output(index=0, width=8, height=8, seed=1), job, png(), "png")
        lifecycle.succeed(lease, Done(steps_run=20, device_seconds=2, engine_seconds=3), [output])
        away(job, days)
        job.refresh_from_db()
        return job

    return old


def away(job: Job, days: float) -> None:
    then = timezone.now() - timedelta(days=days)
    Job.objects.filter(pk=job.pk).update(created_at=then, finished_at=then)
    InputPicture.objects.update(used_at=timezone.now() - timedelta(days=days))


def keeps(source: BusinessSource, **days: int) -> None:
    BusinessSource.objects.filter(pk=source.pk).update(**days)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# Nothing is deleted that nobody asked for


def test_everything_is_kept_for_ever_unless_somebody_says_otherwise(old, storage_folder):
    old(10_000, inputs=(png(),))
    assert tidy() == Tidied()
    assert (Job.objects.count(), Output.objects.count(), InputPicture.objects.count()) == (1, 1, 1)


def test_only_the_source_that_says_so_loses_anything(old, source, other_source, storage_folder):
    keeps(other_source, keep_pictures_days=1, keep_jobs_days=1)
    old(10_000)
    assert tidy() == Tidied()


def test_job_that_has_not_ended_is_left_alone(submission, source):
    job = admit(submission())
    keeps(source, keep_jobs_days=1, keep_pictures_days=1, keep_inputs_days=1)
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(days=9))
    assert tidy() == Tidied()


# Pictures


def test_old_pictures_go_with_their_files_and_the_job_stays(old, source, storage_folder):
    job, young = old(8), old(6)
    keeps(source, keep_pictures_days=7)
    assert tidy() == Tidied(pictures=1)
    assert list(Output.objects.values_list("job", flat=True)) == [young.pk]
    assert len(files(storage_folder)) == 1
    assert Job.objects.get(pk=job.pk).state == State.SUCCEEDED


def test_platforms_default_is_for_sources_that_say_nothing(old, source, settings):
    settings.KEEP_PICTURES_DAYS = 7
    old(8)
    keeps(source, keep_pictures_days=30)
    assert tidy() == Tidied()
    keeps(source, keep_pictures_days=None)
    assert tidy() == Tidied(pictures=1)


def test_stopped_between_file_and_row_it_goes_on(old, source, storage_folder):
    old(8)
    keeps(source, keep_pictures_days=7)

    storage.delete_files(Output.objects.all())
    assert (files(storage_folder), Output.objects.count()) == ([], 1)
    assert tidy() == Tidied(pictures=1)


def test_more_than_a_batch_is_done_in_batches(old, source, monkeypatch):
    monkeypatch.setattr(cleanup, "BATCH", 2)
    for _ in range(5):
        old(8)
    keeps(source, keep_pictures_days=7)
    assert tidy() == Tidied(pictures=5)


def test_what_there_is_no_time_for_is_left_for_the_next(old, source):
    old(8)
    keeps(source, keep_pictures_days=7)
    assert tidy(longest_s=-1) == Tidied()
    assert tidy() == Tidied(pictures=1)


# Inputs


def test_old_inputs_go_with_their_file(old, source, storage_folder):
    old(8, inputs=(png(1),))
    keeps(source, keep_inputs_days=7)
    assert tidy() == Tidied(inputs=1)
    assert not InputPicture.objects.exists()
    assert not (storage_folder / "inputs").exists() or not files(storage_folder / "inputs")


def test_input_that_another_job_needs_is_kept_for_that(old, source, other_source, submission):
    old(8, inputs=(png(1),))
    young = old(1, inputs=(png(1),))
    keeps(source, keep_inputs_days=7)
    InputPicture.objects.update(used_at=timezone.now() - timedelta(days=8))
    tidy()
    assert InputPicture.objects.exists()
    assert list(JobInput.objects.values_list("job", flat=True)) == [young.pk]


def test_input_that_somebody_has_just_sent_again_is_kept(old, source):
    old(8, inputs=(png(1),))
    keeps(source, keep_inputs_days=7)
    storage.store_input(png(1))
    tidy()
    assert InputPicture.objects.exists()


def test_job_without_its_inputs_cannot_be_repeated_and_says_why(old, source):
    job = old(8, inputs=(png(1),))
    keeps(source, keep_inputs_days=7)
    tidy()
    with pytest.raises(InvalidImage, match="missing"):
        retry(job)


def test_input_that_was_sent_and_never_used_goes_by_the_platforms_days(settings):
    storage.store_input(png(1))
    settings.KEEP_INPUTS_DAYS = 7
    assert tidy() == Tidied()
    InputPicture.objects.update(used_at=timezone.now() - timedelta(days=8))
    assert tidy() == Tidied(inputs=1)


def test_admitted_job_keeps_its_inputs_in_mind(submission):
    picture = storage.store_input(png(1))
    job = admit(submission(init_images=(picture,), task="img2img"))
    assert list(job.inputs.values_list("sha256", flat=True)) == [picture.sha256]


def test_input_of_a_waiting_job_is_never_deleted(submission, source, settings):
    settings.KEEP_INPUTS_DAYS = 1
    keeps(source, keep_inputs_days=1)
    admit(submission(init_images=(storage.store_input(png(1)),), task="img2img"))
    InputPicture.objects.update(used_at=timezone.now() - timedelta(days=8))
    assert tidy() == Tidied()


# Jobs


def test_old_job_goes_with_all_that_is_its_own_and_its_postings_stay(old, source, storage_folder):
    job = old(31, inputs=(png(1),))
    keeps(source, keep_jobs_days=30)
    assert tidy() == Tidied(jobs=1)
    assert not Job.objects.exists()
    assert (Output.objects.count(), InputPicture.objects.count(), files(storage_folder)) == (0, 0, [])
    assert {Posting.Kind.RESERVE, Posting.Kind.SETTLE} <= set(
        Posting.objects.filter(job_id=job.pk).values_list("kind", flat=True)
    )


def test_ledger_still_agrees_when_jobs_are_gone(old, source):

    old(31)
    keeps(source, keep_jobs_days=30)
    tidy()
    assert list(ledger_check.disagreements()) == []


def test_job_of_whose_end_somebody_is_still_to_be_told_is_kept(old, source):
    job = old(31)
    callback = Callback.objects.create(job=job, dialect="native", url="http://x", state=CallbackState.PENDING)
    keeps(source, keep_jobs_days=30)
    assert tidy() == Tidied()
    Callback.objects.filter(pk=callback.pk).update(state=CallbackState.DEAD)
    assert tidy() == Tidied(jobs=1)


def test_repetition_outlives_what_it_repeats(old, source):
    job = old(31)
    again = old(1, repeats=job)
    keeps(source, keep_jobs_days=30)
    tidy()
    again.refresh_from_db()
    assert again.repeats is None


# The archive


def test_old_job_without_pictures_is_archived_whole(old, source, settings):
    job = old(100, inputs=(png(1),))
    keeps(source, keep_pictures_days=30)
    settings.ARCHIVE_JOBS_DAYS = 90
    done = tidy()
    assert (done.pictures, done.archived) == (1, 1)
    assert not Job.objects.exists()
    kept = ArchivedJob.objects.get(pk=job.pk)
    assert (kept.source, kept.state, kept.cost) == (source, "succeeded", job.cost)
    assert kept.record["request"]["prompt"] == "a red circle"
    assert [line[2] for line in kept.record["timeline"]] == ["queued", "running", "succeeded"]
    assert not InputPicture.objects.exists()


def test_job_whose_pictures_are_kept_is_not_archived(old, settings):
    old(100)
    settings.ARCHIVE_JOBS_DAYS = 90
    assert tidy() == Tidied()


def test_archived_job_goes_when_its_time_is_over(old, source, settings):
    old(100)
    settings.ARCHIVE_JOBS_DAYS, settings.KEEP_PICTURES_DAYS = 90, 30
    tidy()
    keeps(source, keep_jobs_days=99)
    assert tidy() == Tidied(jobs=1)
    assert not ArchivedJob.objects.exists()


# Keys


def test_temporary_key_goes_a_week_after_its_end(old, source):
    key, _secret, _token = AccessKey.issue_temporary(source, timedelta(hours=1))
    old(1, key=key)
    AccessKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(days=8))
    assert tidy() == Tidied(keys=1)
    assert Job.objects.get().key is None


def test_keys_that_are_not_temporary_are_kept(source):
    key, _secret = AccessKey.issue(source)
    AccessKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(days=800))
    assert tidy() == Tidied()


# By the clock, and by hand


def test_command_tells_what_it_did(old, source):
    old(8)
    keeps(source, keep_pictures_days=7)
    told = io.StringIO()
    call_command("tidy", stdout=told)
    assert told.getvalue().startswith("deleted: pictures 1, inputs 0")


def test_background_cluster_tidies_every_hour():
    assert Schedule.objects.get(func="jobs.retention.cleanup.tidy").schedule_type == Schedule.HOURLY


# Jobs from before
