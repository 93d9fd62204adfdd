"""Alerts, next steps and last images of the dashboard."""

from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone

from access.models import AccessKey
from console.tenants.hourly_figures import update_hourly_figures
from jobs.admission.admit import admit
from jobs.execution import lifecycle
from jobs.execution.sweep import sweep
from jobs.models import Backend, Job, Output, Runner, State
from jobs.models.callback import Callback, CallbackState
from tests.support.fake_runner import png

pytestmark = pytest.mark.postgres

LIVE = "/admin/dashboard/live/"


@pytest.fixture
def runner(db) -> Runner:
    return Runner.objects.create(name="gpu-1", url="http://x", slots=4, seen_at=timezone.now())


def alerts_on(client) -> dict[str, bool]:
    """Text of each alert, and whether it is urgent."""
    response = client.get(LIVE)
    found = response.context["alerts"]
    assert all(not alert.url or client.get(alert.url).status_code == 200 for alert in found)
    return {alert.text: alert.is_urgent for alert in found}


def ended(job: Job, state: State, **fields) -> None:
    now = timezone.now()
    Job.objects.filter(pk=job.pk).update(state=state, started_at=now, finished_at=now, **fields)


def test_healthy_platform_has_no_alerts(ops, runner, submission):
    ended(admit(submission()), State.SUCCEEDED)
    update_hourly_figures()
    assert alerts_on(ops) == {}


def test_trainer_alone_takes_no_jobs(ops, runner):
    fields = {"url": "http://127.0.0.1:9", "backend": Backend.TRAINING, "seen_at": runner.seen_at}
    Runner.objects.create(name="trainer", **fields)
    assert alerts_on(ops) == {}
    Runner.objects.filter(pk=runner.pk).update(draining=True)
    assert alerts_on(ops) == {"No runner takes jobs.": True}


def test_platform_without_runners_takes_no_jobs(ops, submission):
    assert alerts_on(ops) == {"No runner takes jobs.": True}
    admit(submission())
    assert alerts_on(ops) == {"No runner takes jobs. 1 job waits.": True}


def test_drained_runner_is_an_alert_while_jobs_wait(ops, runner, submission):
    Runner.objects.create(name="gpu-2", url="http://y", slots=4, seen_at=timezone.now())
    Runner.objects.filter(pk=runner.pk).update(draining=True)
    assert alerts_on(ops) == {}
    for _number in range(2):
        admit(submission())
    assert alerts_on(ops) == {"Runner gpu-1 is draining while 2 jobs wait.": True}


@pytest.mark.parametrize(
    ("fields", "text"),
    [({"problem": "no device"}, "problem"), ({"seen_at": None}, "unreachable")],
    ids=["problem", "silent"],
)
def test_broken_runner_is_an_alert_even_beside_a_ready_one(ops, runner, fields, text):
    Runner.objects.create(name="gpu-2", url="http://y", **({"seen_at": timezone.now()} | fields))
    assert alerts_on(ops) == {f"Runner gpu-2: {text}.": True}


def test_nearly_full_disk_is_an_alert_and_urgent_once_the_platform_is_not_ready(ops, runner, settings):
    settings.DISK_FREE_MIN_MB = 10**9
    (text,) = [text for text, is_urgent in alerts_on(ops).items() if is_urgent]
    assert text.startswith("The disk of DATA_DIR is nearly full")
    settings.DISK_FREE_MIN_MB = 0
    assert alerts_on(ops) == {}


def test_callbacks_that_failed_permanently_are_an_alert(ops, runner, submission):
    job = admit(submission())
    Callback.objects.create(job=job, dialect="native", url="http://x/", state=CallbackState.DEAD)
    assert alerts_on(ops) == {"1 callback failed permanently in 24 hours.": False}


def test_large_share_of_failed_jobs_is_an_alert(ops, runner, submission):
    for _number in range(15):
        ended(admit(submission()), State.SUCCEEDED)
    for _number in range(4):
        ended(admit(submission()), State.FAILED, error_code="out_of_memory")
    update_hourly_figures()
    assert alerts_on(ops) == {}  # too few
    for _number in range(3):
        ended(admit(submission()), State.FAILED, error_code="nsfw")  # the clients' fault
    update_hourly_figures()
    assert alerts_on(ops) == {}
    ended(admit(submission()), State.FAILED, error_code="internal")
    update_hourly_figures()
    assert alerts_on(ops) == {"25% of the jobs failed in the last two hours: 5 of 20.": True}


def test_jobs_requeued_by_the_lease_sweep_are_an_alert(ops, runner, submission):
    job = admit(submission())
    lifecycle.begin(lifecycle.claim(job.pk, runner))
    Job.objects.filter(pk=job.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert sweep().put_back == 1
    assert alerts_on(ops) == {"1 job was requeued in the last hour because its lease expired.": False}


def test_tenants_see_no_alerts_and_no_next_steps(sign_in, source, submission):
    admit(submission())
    page = sign_in("tenant", source).get("/admin/")
    assert not {"alerts", "next_steps"} & page.context.keys()
    assert "No runner takes jobs" not in page.content.decode()


def test_next_steps_end_with_the_first_image(ops, runner, submission, checkpoint):
    AccessKey.objects.update(enabled=False)
    shown = ops.get("/admin/").context["next_steps"]
    assert [step.is_done for step in shown] == [True, True, True, False, False]
    job = admit(submission())
    AccessKey.objects.update(enabled=True)
    assert [step.is_done for step in ops.get("/admin/").context["next_steps"]] == [
        True,
        True,
        True,
        True,
        False,
    ]
    ended(job, State.SUCCEEDED)
    page = ops.get("/admin/")
    assert page.context["next_steps"] == []
    assert "Next steps" not in page.content.decode()


@pytest.fixture
def drawn(submission):
    def drawn(**fields) -> Job:
        job = admit(submission(**fields))
        ended(job, State.SUCCEEDED)
        output = Output(job=job, index=0, sha256="0" * 64, size_bytes=1, width=64, height=64, seed=7)
        output.file.save("outputs/a.png", ContentFile(png()))
        return job

    return drawn


def test_last_images_are_those_that_the_user_may_see(ops, client, sign_in, drawn, source, other_source):
    own, foreign = drawn(), drawn(source=other_source, key=None)
    assert [output.job_id for output in ops.get(LIVE).context["last_images"]] == [foreign.pk, own.pk]
    shown = sign_in("tenant", source).get("/admin/")
    assert [output.job_id for output in shown.context["images"]] == [own.pk]
    assert f"/admin/jobs/job/{own.pk}/pictures/0/thumbnail/" in shown.content.decode()


def test_last_images_are_hidden_from_roles_without_images(sign_in, drawn):
    drawn()
    assert "last_images" not in sign_in("finance").get("/admin/").context
