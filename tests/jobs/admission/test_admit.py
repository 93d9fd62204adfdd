import hashlib
from contextlib import suppress
from decimal import Decimal

import pytest
from django.utils import timezone

from access.models import Posting
from gpu_runner.protocol import MAX_SEED, Picture
from jobs import errors
from jobs.admission.admit import admit
from jobs.admission.submission import random_seed
from jobs.images import storage
from jobs.models import InputPicture, Job, Lane, State, Transition
from models_registry.models import Family, ModelFile
from tests.support.fake_runner import png

RED, BLUE = png(color="red"), png(color="blue")


def named(data: bytes) -> Picture:
    return Picture(sha256=hashlib.sha256(data).hexdigest())


@pytest.fixture
def img2img(submission):
    """``img2img(*named, given=...)``: names these pictures, and brings the bytes of those."""

    def img2img(*names: Picture, given=(), **fields):
        task = {"task": "img2img", "init_images": names, "num_images": len(names)}
        return submission(**task, pictures={named(data).sha256: data for data in given}, **fields)

    return img2img


# Taken


def test_admitted_job_waits_with_its_cost_reserved(submission, held):
    job = admit(submission(num_inference_steps=10, num_images=2, lane=Lane.BULK))
    job.refresh_from_db()
    assert (job.state, job.lane, job.steps, job.attempt) == (State.QUEUED, Lane.BULK, 20, 0)
    assert job.expires_at > timezone.now()
    assert job.cost_estimate == held() == Decimal("0.08192")
    assert [line.to_state for line in job.transitions.all()] == [State.QUEUED]


def test_dear_checkpoint_multiplies_the_cost(submission, checkpoint):
    cheap = admit(submission())
    checkpoint.cost_multiplier = 2.5
    checkpoint.save()
    assert admit(submission()).cost_estimate == cheap.cost_estimate * Decimal("2.5")


def test_job_keeps_the_checkpoint_that_its_request_meant(submission, checkpoint):
    job = admit(submission(checkpoint=""))
    assert (job.checkpoint, job.generation_request.checkpoint) == (checkpoint, "shapes")
    assert job.checkpoint_sha256 == checkpoint.sha256


def test_random_seeds_are_seeds():
    assert all(0 <= random_seed() <= MAX_SEED for _time in range(100))


# Refused


@pytest.mark.parametrize(
    ("field", "limit", "asked"),
    [
        ("width", "max_width", 1024),
        ("height", "max_height", 1024),
        ("num_inference_steps", "max_steps", 100),
        ("num_images", "max_images", 10),
    ],
)
def test_limit_of_the_source_is_named(field, limit, asked, submission, source):
    setattr(source, limit, asked - 8)
    with pytest.raises(errors.OverLimit, match=f"{field} is {asked}") as refused:
        admit(submission(**{field: asked}))
    assert refused.value.field == field


def test_unknown_model_is_named(submission):
    with pytest.raises(errors.UnknownModel, match="dreams") as refused:
        admit(submission(checkpoint="dreams"))
    assert refused.value.field == "checkpoint"


def test_model_of_other_sources_is_as_unknown_as_one_that_never_was(submission, checkpoint, other_source):
    checkpoint.allowed_sources.set([other_source])
    with pytest.raises(errors.UnknownModel) as kept_back:
        admit(submission(checkpoint="shapes"))
    checkpoint.delete()
    with pytest.raises(errors.UnknownModel) as never_was:
        admit(submission(checkpoint="shapes"))
    assert kept_back.value.message == never_was.value.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sampler", "Quantum"),
        ("scheduler", "Whenever"),
        ("prompt", "a cat" + " AND a dog" * 20),
        ("prompt", "a long text " * 1000 + "[a|b|c|d|e|f|g|h|i]"),
    ],
)
def test_what_no_runner_could_draw_is_refused_at_once(field, value, submission):
    with pytest.raises(errors.Unsupported) as refused:
        admit(submission(**{field: value}))
    assert refused.value.field == field


def test_checkpoint_of_an_unsupported_family_is_refused(submission, checkpoint):
    ModelFile.objects.update(family=Family.UNKNOWN)
    with pytest.raises(errors.Unsupported, match="unknown") as refused:
        admit(submission())
    assert refused.value.field == "checkpoint"


def test_disabled_source_gets_nothing(submission, source):
    source.enabled = False
    with pytest.raises(errors.SourceDisabled):
        admit(submission())


def test_full_queue_says_when_to_come_back(submission, source, other_source):
    source.max_queued_jobs = 1
    source.save()
    admit(submission())
    with pytest.raises(errors.QueueFull) as refused:
        admit(submission())
    assert refused.value.retry_after > 0
    assert admit(submission(source=other_source)).state == State.QUEUED


def test_ended_jobs_leave_room_in_the_queue(submission, source):
    source.max_queued_jobs = 1
    source.save()
    Job.objects.filter(pk=admit(submission()).pk).update(state=State.CANCELLED)
    assert admit(submission()).state == State.QUEUED


@pytest.mark.parametrize(
    "asked",
    [{"checkpoint": "dreams"}, {"width": 4096}, {"sampler": "Quantum"}, {"prompt": "AND " * 20}],
)
def test_nothing_is_half_written_after_a_refusal(asked, img2img, storage_folder):
    with pytest.raises(errors.Refused):
        admit(img2img(named(RED), given=[RED], **asked))
    for table in (Job, Transition, Posting, InputPicture):
        assert not table.objects.exists()
    assert not storage_folder.exists()


def test_no_job_of_a_full_queue_is_half_written(submission, source):
    source.max_queued_jobs = 0
    source.save()
    with pytest.raises(errors.QueueFull):
        admit(submission())
    for table in (Job, Transition, Posting):
        assert not table.objects.exists()


# The caller's id


def test_callers_id_twice_is_one_job(submission, postings):
    first = admit(submission(external_id="order-7"))
    again = admit(submission(external_id="order-7", prompt="something else"))
    assert again == first
    assert postings(first) == ["reserve"]


def test_callers_ids_of_two_sources_do_not_meet(submission, other_source):
    mine = admit(submission(external_id="order-7"))
    assert admit(submission(external_id="order-7", source=other_source)) != mine


def test_callers_id_racing_in_threads_is_one_job(together, submission):
    wanted = submission(external_id="order-7")
    jobs = together(*[lambda: admit(wanted)] * 6)
    assert len(set(jobs)) == Job.objects.count() == Posting.objects.count() == 1


def test_queue_is_not_passed_by_requests_at_the_same_time(together, submission, source):
    source.max_queued_jobs = 2
    source.save()
    wanted = submission()

    def try_it() -> None:
        with suppress(errors.QueueFull):
            admit(wanted)

    together(*[try_it] * 6)
    assert Job.objects.count() == 2


# Input pictures


def test_input_pictures_are_stored_once_by_their_content(img2img, storage_folder):
    admit(img2img(named(RED), named(BLUE), given=[RED, BLUE]))
    admit(img2img(named(RED), given=[RED]))
    assert storage.read_input(named(RED).sha256) == RED
    assert len([path for path in storage_folder.rglob("*") if path.is_file()]) == 2


def test_known_picture_need_not_come_again(img2img):
    admit(img2img(named(RED), given=[RED]))
    assert admit(img2img(named(RED))).state == State.QUEUED


def test_same_picture_at_the_same_time_leaves_one_file(together, storage_folder):
    together(*[lambda: storage.store_input(RED)] * 4)
    assert len([path for path in storage_folder.rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize(
    ("name", "given"),
    [
        (named(RED), {}),
        (named(RED), {named(RED).sha256: BLUE}),
        (named(b"no picture"), {named(b"no picture").sha256: b"no picture"}),
        (named(RED[:60]), {named(RED[:60]).sha256: RED[:60]}),
    ],
    ids=["missing", "another one", "no picture", "half a picture"],
)
def test_bad_picture_makes_no_job(name, given, submission):
    with pytest.raises(errors.InvalidImage) as refused:
        admit(submission(task="img2img", init_images=(name,), pictures=given))
    assert refused.value.field == "init_images"
    assert not Job.objects.exists()


@pytest.mark.parametrize("limit", ["MAX_INPUT_BYTES", "MAX_INPUT_PIXELS"])
def test_huge_picture_makes_no_job(limit, img2img, monkeypatch):
    monkeypatch.setattr(storage, limit, 64)
    with pytest.raises(errors.InvalidImage) as refused:
        admit(img2img(named(RED), given=[RED]))
    assert refused.value.field == "init_images"
