from datetime import timedelta

import pytest
from django.utils import timezone

from access.models import AccessKey
from dialects.zhiqite.response import task_status
from jobs.execution import lifecycle
from jobs.models import Job, Preview, State
from models_registry.models import Family, Kind
from tests.dialects.zhiqite.conftest import Caller, drawing
from tests.support import fake_runner as behaviours

ARCHIVE = "sd/queryTaskInfo"


def test_a_task_that_waits(alice, runner):
    alice.draw()
    task = alice.task()
    assert (task["id_task"], task["status"], task["desc"]) == ("pro1686666", 1, "任务排队中")
    assert task["differentialImageRspList"] == []
    temporary = task["temporaryImageDto"]
    assert (temporary["progress"], temporary["currentStep"], temporary["totalStep"]) == (0, 0, 4)
    assert temporary["temporaryImage"] is None


def test_a_task_under_way_shows_how_far_it_is_and_its_picture_by_url(alice, client, runner):
    job = alice.draw()
    assert lifecycle.claim(job.pk, runner)
    Job.objects.filter(pk=job.pk).update(step=1)
    Preview.objects.create(job=job, jpeg=b"a small jpeg")
    task = alice.task()
    assert (task["status"], task["desc"]) == (3, "任务执行中")
    temporary = task["temporaryImageDto"]
    assert (temporary["progress"], temporary["currentStep"], temporary["totalStep"]) == (0.25, 1, 4)
    assert temporary["etaRelative"] >= 0
    assert client.get(temporary["temporaryImage"]).content == b"a small jpeg"


def test_a_task_that_is_done(alice, client, work):
    alice.draw(seed="7", n_iter=2)
    work()
    task = alice.task()
    rows = task.pop("differentialImageRspList")
    assert task == {"id_task": "pro1686666", "status": 2, "desc": "任务成功 !", "temporaryImageDto": None}
    assert [row["seed"] for row in rows] == [7, 8]
    for row in rows:
        picture = client.get(row.pop("image_url"))
        assert (picture.status_code, picture["Content-Type"]) == (200, "image/jpeg")
        del row["seed"]
        assert row == {
            "img_audit": [{"confidence": None, "label": "nonLabel"}],
            "img_audit_status": True,
            "image_status": 1,
        }


def test_a_picture_that_arrives_while_its_task_is_asked_for_is_there_or_not(
    alice, work, django_assert_num_queries
):
    """Its row and its URL are of one look at the pictures, never of two between which it came."""
    alice.draw(n_iter=2)
    work()
    job = Job.objects.select_related("source").get()
    with django_assert_num_queries(1):
        assert len(task_status.rows(job, "http://testserver")) == 2


def test_the_archive_says_the_same_in_its_own_names(alice, work):
    alice.draw()
    work()
    now, archived = alice.task(), alice.task(path=ARCHIVE)
    assert archived == {
        "task_id": "pro1686666",
        "status": 2,
        "desc": "success",
        "differentialImageRspList": now["differentialImageRspList"],
    }


def test_a_task_that_failed_says_why(alice, fake_runner, work):
    fake_runner.behaviour = behaviours.fails_with_oom
    alice.draw()
    work()
    task = alice.task()
    assert (task["status"], task["desc"]) == (4, "任务失败: The picture is too large for this runner.")
    assert task["differentialImageRspList"] == []


def test_a_picture_that_may_not_be_shown_is_rejected_by_the_audit(alice, fake_runner, work):
    fake_runner.behaviour = behaviours.refuses_its_picture
    alice.draw()
    work()
    assert alice.task()["status"] == 5


def test_a_picture_that_is_only_marked_says_so(alice, fake_runner, work):
    fake_runner.behaviour = behaviours.draws_unfit_pictures
    alice.draw()
    work()
    (row,) = alice.task()["differentialImageRspList"]
    assert row["img_audit"] == [{"confidence": 0.97, "label": "nsfw"}]
    assert (row["img_audit_status"], row["image_status"]) == (False, 1)


@pytest.mark.parametrize("policy", ["blur", "blank"])
def test_a_picture_that_is_hidden_is_blocked(alice, source, register, fake_runner, work, policy):
    register(Kind.NSFW, "nsfw/open_nsfw.onnx", family=Family.UNKNOWN)
    source.nsfw_policy = policy
    source.save()
    fake_runner.behaviour = behaviours.draws_unfit_pictures
    alice.draw()
    work()
    (row,) = alice.task()["differentialImageRspList"]
    assert (row["img_audit_status"], row["image_status"]) == (False, 2)


@pytest.mark.parametrize("state", [State.CANCELLED, State.EXPIRED])
def test_whatever_ends_without_pictures_has_failed(alice, state):
    """Clients wait for 1 and 3, take 2, and give up at anything else."""
    Job.objects.filter(pk=alice.draw().pk).update(state=state)
    assert alice.task()["status"] == 4


def test_the_same_id_again_is_a_new_task_and_the_newest_counts(alice, work):
    first, second = alice.draw(seed=1), alice.draw(seed=2)
    assert first.pk != second.pk
    work()
    assert [row["seed"] for row in alice.task()["differentialImageRspList"]] == [2]


def test_ids_are_each_access_keys_own(alice, bob):
    alice.draw()
    told = bob.post("sd/v2/queryTaskInfo", {"businessTaskId": "pro1686666"})
    assert told == {"code": "400", "msg": "There is no such task.", "data": None}


def test_another_tenant_sees_nothing(alice, other_source):
    alice.draw()
    stranger = Caller(*AccessKey.issue(other_source))
    for path in ("sd/v2/queryTaskInfo", ARCHIVE):
        assert stranger.post(path, {"businessTaskId": "pro1686666"})["code"] == "400"


def test_the_realtime_query_knows_this_month_and_the_archive_all(alice, work):
    job = alice.draw()
    work()
    past = timezone.now() - timedelta(days=40)
    Job.objects.filter(pk=job.pk).update(created_at=past, finished_at=past)
    assert alice.post("sd/v2/queryTaskInfo", {"businessTaskId": "pro1686666"})["code"] == "400"
    assert alice.task(path=ARCHIVE)["status"] == 2


def test_a_task_that_runs_since_last_month_is_still_told_of(alice):
    job = alice.draw()
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(days=40))
    assert alice.task()["status"] == 1


def test_the_same_idempotency_key_gets_the_same_task(alice):
    first, second = (
        alice.submit("sd/v2/text2image", drawing(), **{"Idempotency-Key": "once"}) for _ in range(2)
    )
    assert first.pk == second.pk
