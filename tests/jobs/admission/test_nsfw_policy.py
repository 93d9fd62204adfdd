"""NSFW policy of a job: the stricter one of source and request. A check without a detector is refused."""

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


def test_platform_and_runner_have_the_same_policies():
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
def test_request_may_be_stricter_than_its_source_but_not_milder(
    submission, detector, of_source, of_request, result
):
    request = submission(nsfw={"policy": of_request})
    request.source.nsfw_policy = of_source
    job = admit(request)
    assert job.generation_request.nsfw.policy == result
    assert ("nsfw:open_nsfw" in job.files) == (result != "off")


def test_check_without_a_detector_is_refused(submission):
    request = submission()
    request.source.nsfw_policy = "flag"
    with pytest.raises(UnknownModel, match=r"install_nsfw_detector"):
        admit(request)
    assert not Job.objects.exists()


def test_detector_with_a_problem_is_refused(submission, detector):
    ModelFile.objects.filter(pk=detector.pk).update(problem="truncated")
    with pytest.raises(UnknownModel):
        admit(submission(nsfw={"policy": "blur"}))


def test_request_may_name_another_detector(submission, detector):
    ModelFile.objects.create(kind="nsfw", name="320n", path="nsfw/320n.onnx", sha256="8" * 64)
    job = admit(submission(nsfw={"policy": "flag", "model": "320n"}))
    assert job.files["nsfw:320n"] == {"path": "nsfw/320n.onnx", "sha256": "8" * 64}


def test_policy_off_needs_no_detector(submission):
    assert admit(submission()).generation_request.nsfw.policy == "off"


@pytest.fixture
def execute(submission, live_runner, fake_runner, detector):
    def execute(behavior) -> Job:
        fake_runner.behavior = behavior
        job = admit(submission(nsfw={"policy": "flag"}, num_inference_steps=10))
        lease = lifecycle.claim(job.pk, live_runner)
        run_job(str(lease.job_id), lease.attempt)
        job.refresh_from_db()
        return job

    return execute


def test_nsfw_result_is_stored_with_the_output(execute):
    [output] = execute(behaviors.generates_detected_nsfw).outputs.all()
    assert (output.nsfw, output.nsfw_score) == (True, 0.97)


def test_unchecked_output_has_no_nsfw_result(execute):
    [output] = execute(behaviors.generates).outputs.all()
    assert (output.nsfw, output.nsfw_score) == (None, None)


def test_refused_image_fails_the_job_stores_no_output_and_is_billed(execute, storage_folder):
    job = execute(behaviors.rejects_its_output)
    assert (job.state, job.error_code) == (State.FAILED, "nsfw")
    assert not job.outputs.exists()
    assert not [path for path in storage_folder.rglob("outputs/**/*") if path.is_file()]
    assert job.cost == job.cost_estimate > 0
    kinds = Posting.objects.filter(job_id=job.pk).values_list("kind", flat=True)
    assert sorted(kinds) == ["release", "reserve", "settle"]


def test_face_identity_above_zero_is_refused(submission):
    with pytest.raises(Unsupported, match="IP-Adapter"):
        admit(submission(face_identity=0.5))
    assert admit(submission(face_identity=0)).state == State.QUEUED
