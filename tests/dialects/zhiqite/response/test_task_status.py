"""Status of tasks in the realtime and the archive query."""

from datetime import timedelta

import pytest
from django.utils import timezone

from access.models import AccessKey
from dialects.zhiqite.response import task_status
from jobs.execution import lifecycle
from jobs.models import Job, Preview, State
from models_registry.models import Family, Kind
from tests.dialects.zhiqite.conftest import Caller, generation_body
from tests.support import fake_runner as behaviors

ARCHIVE = "sd/queryTaskInfo"


def test_queued_task(alice, runner):
    alice.generate()
    task = alice.task()
    assert (task["id_task"], task["status"], task["desc"]) == ("pro1686666", 1, "任务排队中")
    assert task["differentialImageRspList"] == []
    temporary = task["temporaryImageDto"]
    assert (temporary["progress"], temporary["currentStep"], temporary["totalStep"]) == (0, 0, 4)
    assert temporary["temporaryImage"] is None


def test_running_task_has_progress_and_a_preview_url(alice, client, runner):
    job = alice.generate()
    assert lifecycle.claim(job.pk, runner)
    Job.objects.filter(pk=job.pk).update(step=1)
    Preview.objects.create(job=job, jpeg=b"a small jpeg")
    task = alice.task()
    assert (task["status"], task["desc"]) == (3, "任务执行中")
    temporary = task["temporaryImageDto"]
    assert (temporary["progress"], temporary["currentStep"], temporary["totalStep"]) == (0.25, 1, 4)
    assert temporary["etaRelative"] >= 0
    assert client.get(temporary["temporaryImage"]).content == b"a small jpeg"


def test_finished_task_has_its_outputs(alice, client, work):
    alice.generate(seed="7", n_iter=2)
    work()
    task = alice.task()
    rows = task.pop("differentialImageRspList")
    assert task == {"id_task": "pro1686666", "status": 2, "desc": "任务成功 !", "temporaryImageDto": None}
    assert [row["seed"] for row in rows] == [7, 8]
    for row in rows:
        response = client.get(row.pop("image_url"))
        assert (response.status_code, response["Content-Type"]) == (200, "image/jpeg")
        del row["seed"]
        assert row == {
            "img_audit": [{"confidence": None, "label": "nonLabel"}],
            "img_audit_status": True,
            "image_status": 1,
        }


def test_rows_are_built_from_one_query(alice, work, django_assert_num_queries):
    """Two queries could see different outputs if one is stored between them."""
    alice.generate(n_iter=2)
    work()
    job = Job.objects.select_related("source").get()
    with django_assert_num_queries(1):
        assert len(task_status.rows(job, "http://testserver")) == 2


def test_archive_query_has_the_same_result_under_other_names(alice, work):
    alice.generate()
    work()
    now, archived = alice.task(), alice.task(path=ARCHIVE)
    assert archived == {
        "task_id": "pro1686666",
        "status": 2,
        "desc": "success",
        "differentialImageRspList": now["differentialImageRspList"],
    }


def test_failed_task_has_the_error_message(alice, fake_runner, work):
    fake_runner.behavior = behaviors.fails_with_oom
    alice.generate()
    work()
    task = alice.task()
    assert (task["status"], task["desc"]) == (4, "任务失败: The image is too large for this runner.")
    assert task["differentialImageRspList"] == []


def test_refused_nsfw_output_is_rejected(alice, fake_runner, work):
    fake_runner.behavior = behaviors.rejects_its_output
    alice.generate()
    work()
    assert alice.task()["status"] == 5


def test_nsfw_output_that_is_only_flagged(alice, fake_runner, work):
    fake_runner.behavior = behaviors.generates_detected_nsfw
    alice.generate()
    work()
    (row,) = alice.task()["differentialImageRspList"]
    assert row["img_audit"] == [{"confidence": 0.97, "label": "nsfw"}]
    assert (row["img_audit_status"], row["image_status"]) == (False, 1)


@pytest.mark.parametrize("policy", ["blur", "blank"])
def test_hidden_nsfw_output_is_blocked(alice, source, register, fake_runner, work, policy):
    register(Kind.NSFW, "nsfw/open_nsfw.onnx", family=Family.UNKNOWN)
    source.nsfw_policy = policy
    source.save()
    fake_runner.behavior = behaviors.generates_detected_nsfw
    alice.generate()
    work()
    (row,) = alice.task()["differentialImageRspList"]
    assert (row["img_audit_status"], row["image_status"]) == (False, 2)


@pytest.mark.parametrize("state", [State.CANCELLED, State.EXPIRED])
def test_cancelled_or_expired_task_has_failed(alice, state):
    """Clients poll on 1 and 3, succeed on 2, and fail on anything else."""
    Job.objects.filter(pk=alice.generate().pk).update(state=state)
    assert alice.task()["status"] == 4


def test_reused_id_is_a_new_task_and_the_newest_is_found(alice, work):
    first, second = alice.generate(seed=1), alice.generate(seed=2)
    assert first.pk != second.pk
    work()
    assert [row["seed"] for row in alice.task()["differentialImageRspList"]] == [2]


def test_ids_belong_to_the_access_key(alice, bob):
    alice.generate()
    response = bob.post("sd/v2/queryTaskInfo", {"businessTaskId": "pro1686666"})
    assert response == {"code": "400", "msg": "Task not found.", "data": None}


def test_task_of_another_tenant_is_not_found(alice, other_source):
    alice.generate()
    other = Caller(*AccessKey.issue(other_source))
    for path in ("sd/v2/queryTaskInfo", ARCHIVE):
        assert other.post(path, {"businessTaskId": "pro1686666"})["code"] == "400"


def test_realtime_query_is_limited_to_the_month_and_the_archive_is_not(alice, work):
    job = alice.generate()
    work()
    past = timezone.now() - timedelta(days=40)
    Job.objects.filter(pk=job.pk).update(created_at=past, finished_at=past)
    assert alice.post("sd/v2/queryTaskInfo", {"businessTaskId": "pro1686666"})["code"] == "400"
    assert alice.task(path=ARCHIVE)["status"] == 2


def test_active_task_of_last_month_is_found(alice):
    job = alice.generate()
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(days=40))
    assert alice.task()["status"] == 1


def test_same_idempotency_key_returns_the_same_task(alice):
    first, second = (
        alice.submit("sd/v2/text2image", generation_body(), **{"Idempotency-Key": "once"}) for _ in range(2)
    )
    assert first.pk == second.pk
