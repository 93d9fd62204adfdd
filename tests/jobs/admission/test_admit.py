import hashlib
from contextlib import suppress
from decimal import Decimal

import pytest
from django.utils import timezone

from access.models import Posting
from gpu_runner.protocol import MAX_SEED, InputImage
from jobs import errors
from jobs.admission.admit import admit
from jobs.admission.submission import random_seed
from jobs.images import input_files, storage
from jobs.models import InputPicture, Job, Lane, State, Transition
from models_registry.models import Family, ModelFile
from tests.support.fake_runner import png

RED, BLUE = png(color="red"), png(color="blue")


def by_hash(data: bytes) -> InputImage:
    return InputImage(sha256=hashlib.sha256(data).hexdigest())


@pytest.fixture
def img2img(submission):
    """``img2img(*inputs, uploads=...)``: a submission that refers to these inputs and contains these image files."""

    def img2img(*inputs: InputImage, uploads=(), **fields):
        task = {"task": "img2img", "init_images": inputs, "num_images": len(inputs)}
        return submission(**task, input_files={by_hash(data).sha256: data for data in uploads}, **fields)

    return img2img


# Admitted


def test_admitted_job_is_queued_and_its_cost_reserved(submission, reserved):
    job = admit(submission(num_inference_steps=10, num_images=2, lane=Lane.BULK))
    job.refresh_from_db()
    assert (job.state, job.lane, job.steps, job.attempt) == (State.QUEUED, Lane.BULK, 20, 0)
    assert job.expires_at > timezone.now()
    assert job.cost_estimate == reserved() == Decimal("0.08192")
    assert [line.to_state for line in job.transitions.all()] == [State.QUEUED]


def test_cost_multiplier_of_the_checkpoint_applies(submission, checkpoint):
    cheap = admit(submission())
    checkpoint.cost_multiplier = 2.5
    checkpoint.save()
    assert admit(submission()).cost_estimate == cheap.cost_estimate * Decimal("2.5")


def test_default_checkpoint_is_written_into_the_job(submission, checkpoint):
    job = admit(submission(checkpoint=""))
    assert (job.checkpoint, job.generation_request.checkpoint) == (checkpoint, "shapes")
    assert job.checkpoint_sha256 == checkpoint.sha256


def test_random_seeds_are_in_the_valid_range():
    assert all(0 <= random_seed() <= MAX_SEED for _time in range(100))


# Refused


@pytest.mark.parametrize(
    ("field", "limit", "value"),
    [
        ("width", "max_width", 1024),
        ("height", "max_height", 1024),
        ("num_inference_steps", "max_steps", 100),
        ("num_images", "max_images", 10),
    ],
)
def test_request_above_a_limit_of_the_source_is_refused(field, limit, value, submission, source):
    setattr(source, limit, value - 8)
    with pytest.raises(errors.OverLimit, match=f"{field} must be at most") as refused:
        admit(submission(**{field: value}))
    assert refused.value.field == field


def test_unknown_model_is_refused(submission):
    with pytest.raises(errors.UnknownModel, match="dreams") as refused:
        admit(submission(checkpoint="dreams"))
    assert refused.value.field == "checkpoint"


def test_model_of_another_source_is_reported_as_unknown(submission, checkpoint, other_source):
    checkpoint.allowed_sources.set([other_source])
    with pytest.raises(errors.UnknownModel) as of_other_source:
        admit(submission(checkpoint="shapes"))
    checkpoint.delete()
    with pytest.raises(errors.UnknownModel) as unknown:
        admit(submission(checkpoint="shapes"))
    assert of_other_source.value.message == unknown.value.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sampler", "Quantum"),
        ("scheduler", "Unknown"),
        ("prompt", "a cat" + " AND a dog" * 20),
        ("prompt", "a long text " * 1000 + "[a|b|c|d|e|f|g|h|i]"),
    ],
)
def test_request_that_no_runner_supports_is_refused(field, value, submission):
    with pytest.raises(errors.Unsupported) as refused:
        admit(submission(**{field: value}))
    assert refused.value.field == field


def test_checkpoint_of_an_unsupported_family_is_refused(submission, checkpoint):
    ModelFile.objects.update(family=Family.UNKNOWN)
    with pytest.raises(errors.Unsupported, match="unknown") as refused:
        admit(submission())
    assert refused.value.field == "checkpoint"


def test_disabled_source_is_refused(submission, source):
    source.enabled = False
    with pytest.raises(errors.SourceDisabled):
        admit(submission())


def test_full_queue_refuses_with_retry_after(submission, source, other_source):
    source.max_queued_jobs = 1
    source.save()
    admit(submission())
    with pytest.raises(errors.QueueFull) as refused:
        admit(submission())
    assert refused.value.retry_after > 0
    assert admit(submission(source=other_source)).state == State.QUEUED


def test_ended_jobs_do_not_count_as_queued(submission, source):
    source.max_queued_jobs = 1
    source.save()
    Job.objects.filter(pk=admit(submission()).pk).update(state=State.CANCELLED)
    assert admit(submission()).state == State.QUEUED


@pytest.mark.parametrize(
    "fields",
    [{"checkpoint": "dreams"}, {"width": 4096}, {"sampler": "Quantum"}, {"prompt": "AND " * 20}],
)
def test_refused_request_leaves_no_rows_or_files(fields, img2img, storage_folder):
    with pytest.raises(errors.Refused):
        admit(img2img(by_hash(RED), uploads=[RED], **fields))
    for table in (Job, Transition, Posting, InputPicture):
        assert not table.objects.exists()
    assert not storage_folder.exists()


def test_job_refused_by_a_full_queue_leaves_no_rows(submission, source):
    source.max_queued_jobs = 0
    source.save()
    with pytest.raises(errors.QueueFull):
        admit(submission())
    for table in (Job, Transition, Posting):
        assert not table.objects.exists()


# External id


def test_repeated_external_id_returns_the_first_job(submission, postings):
    first = admit(submission(external_id="order-7"))
    again = admit(submission(external_id="order-7", prompt="something else"))
    assert again == first
    assert postings(first) == ["reserve"]


def test_external_ids_are_separate_per_source(submission, other_source):
    mine = admit(submission(external_id="order-7"))
    assert admit(submission(external_id="order-7", source=other_source)) != mine


def test_concurrent_requests_with_one_external_id_create_one_job(together, submission):
    request = submission(external_id="order-7")
    jobs = together(*[lambda: admit(request)] * 6)
    assert len(set(jobs)) == Job.objects.count() == Posting.objects.count() == 1


def test_concurrent_requests_do_not_exceed_the_queue_limit(together, submission, source):
    source.max_queued_jobs = 2
    source.save()
    request = submission()

    def try_to_admit() -> None:
        with suppress(errors.QueueFull):
            admit(request)

    together(*[try_to_admit] * 6)
    assert Job.objects.count() == 2


# Input images


def test_input_images_are_stored_once_per_content(img2img, storage_folder):
    admit(img2img(by_hash(RED), by_hash(BLUE), uploads=[RED, BLUE]))
    admit(img2img(by_hash(RED), uploads=[RED]))
    assert storage.read_input(by_hash(RED).sha256) == RED
    assert len([path for path in storage_folder.rglob("*") if path.is_file()]) == 2


def test_stored_input_image_can_be_referenced_by_hash(img2img):
    admit(img2img(by_hash(RED), uploads=[RED]))
    assert admit(img2img(by_hash(RED))).state == State.QUEUED


def test_concurrent_uploads_of_one_image_leave_one_file(together, storage_folder):
    together(*[lambda: storage.store_input(RED)] * 4)
    assert len([path for path in storage_folder.rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize(
    ("name", "uploads"),
    [
        (by_hash(RED), {}),
        (by_hash(RED), {by_hash(RED).sha256: BLUE}),
        (by_hash(b"not an image"), {by_hash(b"not an image").sha256: b"not an image"}),
        (by_hash(RED[:60]), {by_hash(RED[:60]).sha256: RED[:60]}),
    ],
    ids=["missing", "other content", "not an image", "truncated"],
)
def test_invalid_input_image_is_refused(name, uploads, submission):
    with pytest.raises(errors.InvalidImage) as refused:
        admit(submission(task="img2img", init_images=(name,), input_files=uploads))
    assert refused.value.field == "init_images.0"
    assert not Job.objects.exists()


def test_input_image_above_the_size_limit_is_refused(img2img, monkeypatch):
    monkeypatch.setattr(input_files, "MAX_INPUT_BYTES", 64)
    with pytest.raises(errors.InvalidImage) as refused:
        admit(img2img(by_hash(RED), uploads=[RED]))
    assert refused.value.field == "init_images.0"
