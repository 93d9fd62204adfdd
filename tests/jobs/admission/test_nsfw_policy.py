"""Who is checked: the stricter of what the source and the request say, and nobody unchecked in silence."""

import pytest

from access.models import NsfwPolicy, Posting
from gpu_runner.protocol import NSFW_POLICIES
from jobs.admission.admit import admit
from jobs.admission.defaults import stricter
from jobs.errors import UnknownModel, Unsupported
from jobs.execution import lifecycle
from jobs.models import Job, State
from jobs.tasks import run_job
from models_registry.models import ModelFile
from tests.support import fake_runner as behaviors


@pytest.fixture
def detector(db):
    return ModelFile.objects.create(
        kind="nsfw", name="open_nsfw", path="nsfw/open_nsfw.onnx", sha256="9" * 64
    )


def test_the_platform_and_the_runner_know_the_same_policies():
    assert tuple(NsfwPolicy.values) == NSFW_POLICIES


@pytest.mark.parametrize("mild", range(5))
@pytest.mark.parametrize("strict", range(5))
def test_the_stricter_policy_wins(mild, strict):
    assert stricter(NSFW_POLICIES[mild], NSFW_POLICIES[strict]) == NSFW_POLICIES[max(mild, strict)]


@pytest.mark.parametrize(
    ("of_source", "of_request", "result"),
    [
        ("off", "off", "off"),
        ("blank", "off", "blank"),
        ("flag", "refuse", "refuse"),
        ("blur", "flag", "blur"),
    ],
)
def test_a_request_can_ask_for_more_than_its_source_but_not_for_less(
    submission, detector, of_source, of_request, result
):
    made = submission(nsfw={"policy": of_request})
    made.source.nsfw_policy = of_source
    job = admit(made)
    assert job.generation_request.nsfw.policy == result
    assert ("nsfw:open_nsfw" in job.files) == (result != "off")


def test_a_check_without_a_detector_is_refused_by_name_and_never_off(submission):
    made = submission()
    made.source.nsfw_policy = "flag"
    with pytest.raises(UnknownModel, match=r"open_nsfw\.onnx"):
        admit(made)
    assert not Job.objects.exists()


def test_a_detector_that_vanished_from_disk_is_refused_too(submission, detector):
    ModelFile.objects.filter(pk=detector.pk).update(problem="truncated")
    with pytest.raises(UnknownModel):
        admit(submission(nsfw={"policy": "blur"}))


def test_another_detector_can_be_named(submission, detector):
    ModelFile.objects.create(kind="nsfw", name="320n", path="nsfw/320n.onnx", sha256="8" * 64)
    job = admit(submission(nsfw={"policy": "flag", "model": "320n"}))
    assert job.files["nsfw:320n"] == {"path": "nsfw/320n.onnx", "sha256": "8" * 64}


def test_without_a_check_nothing_is_asked_of_the_registry(submission):
    assert admit(submission()).generation_request.nsfw.policy == "off"


@pytest.fixture
def follow(submission, live_runner, fake_runner, detector):
    def follow(behavior) -> Job:
        fake_runner.behavior = behavior
        job = admit(submission(nsfw={"policy": "flag"}, num_inference_steps=10))
        lease = lifecycle.claim(job.pk, live_runner)
        run_job(str(lease.job_id), lease.attempt)
        job.refresh_from_db()
        return job

    return follow


def test_the_verdict_is_kept_with_the_picture(follow):
    [output] = follow(behaviors.generates_detected_nsfw).outputs.all()
    assert (output.nsfw, output.nsfw_score) == (True, 0.97)


def test_a_picture_that_nobody_looked_at_has_no_verdict(follow):
    [output] = follow(behaviors.generates).outputs.all()
    assert (output.nsfw, output.nsfw_score) == (None, None)


def test_a_refused_picture_fails_the_job_leaves_nothing_and_is_paid_for(follow, storage_folder):
    job = follow(behaviors.rejects_its_output)
    assert (job.state, job.error_code) == (State.FAILED, "nsfw")
    assert not job.outputs.exists()
    assert not [path for path in storage_folder.rglob("outputs/**/*") if path.is_file()]
    assert job.cost == job.cost_estimate > 0
    kinds = Posting.objects.filter(job_id=job.pk).values_list("kind", flat=True)
    assert sorted(kinds) == ["release", "reserve", "settle"]


def test_the_identity_of_a_face_is_refused_unless_none_is_asked_for(submission):
    with pytest.raises(Unsupported, match="IP-Adapter"):
        admit(submission(face_identity=0.5))
    assert admit(submission(face_identity=0)).state == State.QUEUED
