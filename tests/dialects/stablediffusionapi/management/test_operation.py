"""Facts of the platform, the key's own queue, and the memory of the runners."""

import pytest

from jobs.models import Job, Runner, State

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def test_system_details_tell_counts_and_no_names(alice, charlie, runner):
    alice.generate()
    data = alice.call("v1/enterprise/system_details")["data"]
    assert (data["queue_num"], data["own_queued"], data["own_running"]) == (1, 1, 0)
    assert (data["runners"], data["runners_available"], data["models"]["checkpoint"]) == (1, 1, 1)
    response = charlie.call("v1/enterprise/system_details")
    assert (response["message"], response["data"]["own_queued"]) == ("Operation completed successfully", 0)
    assert runner.url not in str(response)


def test_clear_queue_cancels_the_waiting_jobs_of_the_key_only(alice, charlie, manager, source, checkpoint):
    mine, mine_too = alice.generate()[1], alice.generate()[1]
    others = [charlie.generate()[1], manager.generate()[1]]
    assert alice.call("v1/enterprise/clear_queue")["cancelled"] == 2
    assert set(Job.objects.filter(state=State.CANCELLED)) == {mine, mine_too}
    assert all(job.state == State.QUEUED for job in Job.objects.filter(pk__in=[job.pk for job in others]))
    assert alice.call("v1/enterprise/clear_queue")["cancelled"] == 0


def test_clear_queue_leaves_running_jobs(alice):
    job = alice.generate()[1]
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING)
    assert alice.call("v1/enterprise/clear_queue")["cancelled"] == 0
    assert Job.objects.get(pk=job.pk).state == State.RUNNING


@pytest.mark.parametrize("path", ["v1/enterprise/clear_cache", "v3/clear_cache"])
def test_clear_cache_unloads_the_runners_models(manager, runner, fake_runner, path):
    fake_runner.status = fake_runner.status.model_copy(update={"loaded": ("7" * 64,)})
    response = manager.call(path)
    assert (response["status"], response["message"], response["tip"]) == ("success", "Cache cleared", "")
    assert fake_runner.status.loaded == ()
    assert manager.client.get(f"/api/{path}", {"key": manager.key}).json()["status"] == "success"


def test_clear_cache_leaves_the_models_of_running_jobs(manager, runner, fake_runner):
    fake_runner.status = fake_runner.status.model_copy(update={"loaded": ("7" * 64,), "slots_busy": 1})
    response = manager.call("v3/clear_cache")
    assert (response["status"], fake_runner.status.loaded) == ("error", ("7" * 64,))
    assert "1 have running jobs" in response["message"]


def test_clear_cache_tells_what_was_not_cleared(manager, runner):
    Runner.objects.create(name="gone", url="http://127.0.0.1:9")
    response = manager.call("v3/clear_cache")
    assert response["status"] == "success"
    assert "Of 2 runners, 0 have running jobs and 1 cannot be reached" in response["tip"]
    runner.delete()
    assert manager.call("v3/clear_cache")["status"] == "error"
    Runner.objects.all().delete()
    assert manager.call("v3/clear_cache")["message"] == "No runner is available."


def test_clear_cache_needs_the_right(alice, runner):
    response = alice.call("v1/enterprise/clear_cache")
    assert response["status"] == "error"
    assert "may not manage models" in response["message"]
