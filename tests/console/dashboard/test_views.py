"""Dashboard: live figures, hourly figures and tenant isolation."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.dashboard import live_figures
from console.models import HourlyFigures
from console.tenants.hourly_figures import update_hourly_figures
from jobs.admission.admit import admit
from jobs.models import Job, Runner, State
from jobs.scheduling.replaced_processes import BACKGROUND
from telemetry.models import Mark

pytestmark = pytest.mark.postgres

LIVE = "/admin/dashboard/live/"


@pytest.fixture
def ended(submission):
    """``ended(State.FAILED, error_code="oom", hours_ago=2)``: a job that has ended."""

    def ended(state=State.SUCCEEDED, *, hours_ago=0.0, waited_s=2.0, **fields) -> Job:
        job = admit(submission(**{name: fields.pop(name) for name in ("source",) if name in fields}))
        at = timezone.now() - timedelta(hours=hours_ago)
        moments = {"started_at": at, "finished_at": at, "created_at": at - timedelta(seconds=waited_s)}
        Job.objects.filter(pk=job.pk).update(state=state, **moments, **fields)
        return job

    return ended


def test_dashboard_shows_queued_jobs_and_failures(ops, submission, ended):
    admit(submission())
    ended(State.FAILED, error_code="out_of_memory")
    update_hourly_figures()
    page = ops.get("/admin/")
    assert page.context["queued"] == 1
    assert [(row["code"], row["jobs"]) for row in page.context["failures"]] == [("out_of_memory", 1)]
    assert "error_code=out_of_memory" in page.content.decode()


def test_failure_links_to_its_jobs(ops, ended):
    failed, other = ended(State.FAILED, error_code="out_of_memory"), ended(State.FAILED, error_code="nsfw")
    update_hourly_figures()
    (row,) = [row for row in ops.get(LIVE).context["failures"] if row["code"] == "out_of_memory"]
    page = ops.get(row["url"]).content.decode()
    assert str(failed.pk) in page
    assert str(other.pk) not in page


def test_hourly_figures_are_the_sums_of_the_jobs(ended):
    now = datetime.now(UTC).replace(minute=30)
    for hours_ago, cost in ((0, 1), (0, 2), (30, 4)):
        ended(hours_ago=hours_ago, cost=cost)
    update_hourly_figures()
    assert sum(row.cost for row in HourlyFigures.objects.all()) == Decimal(7)
    assert sum(row.jobs for row in HourlyFigures.objects.all()) == 3
    assert HourlyFigures.objects.filter(hour__lt=now - timedelta(hours=25)).count() == 1


def test_charts_have_the_current_hour_before_its_sums_are_made_and_count_it_once(ops, ended):
    ended(cost=1)
    ended(State.FAILED, error_code="out_of_memory", cost=2)
    ended(hours_ago=3, cost=4)
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    earlier_of_month = 4 if timezone.now() - timedelta(hours=3) >= midnight.replace(day=1) else 0

    def shown() -> tuple[int, list[int], Decimal]:
        context = ops.get(LIVE).context
        succeeded = json.loads(context["outcomes"])["datasets"][0]["data"]
        failures = [row["jobs"] for row in context["failures"]]
        return succeeded[-1] + succeeded[-2], failures, context["costs"][0]["month"]

    assert shown() == (1, [1], Decimal(3))  # as on a fresh installation
    update_hourly_figures()
    ended(cost=8)
    assert shown() == (2, [1], Decimal(11 + earlier_of_month))


def test_repeated_updates_count_each_job_once(ended):
    ended(cost=1)
    update_hourly_figures()
    update_hourly_figures()
    ended(cost=2)
    update_hourly_figures()
    assert sum(row.cost for row in HourlyFigures.objects.all()) == Decimal(3)


def test_throughput_has_percentiles_of_the_waiting_time(ended):
    for waited in range(1, 21):
        ended(waited_s=waited)
    throughput = live_figures.throughput(None, timezone.now())
    assert (round(throughput.p50_s), round(throughput.p95_s)) == (11, 20)
    assert throughput.per_minute == pytest.approx(20 / 15)


def test_runner_is_shown_with_its_load_and_model_names(ops, checkpoint, submission):
    runner = Runner.objects.create(
        name="gpu-1", url="http://x", slots=4, loaded=[checkpoint.sha256], seen_at=timezone.now()
    )
    Job.objects.filter(pk=admit(submission()).pk).update(state=State.RUNNING, runner=runner)
    (load,) = ops.get(LIVE).context["runners"]
    assert (load.jobs, load.share, load.loaded, load.state) == (1, 25, ["shapes"], "ready")


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "ready"),
        ({"draining": True}, "draining"),
        ({"enabled": False}, "paused"),
        ({"problem": "no device"}, "problem"),
        ({"hand_over_lost_at": timezone.now()}, "stalled"),
        ({"seen_at": None}, "silent"),
    ],
)
def test_state_of_a_runner(fields, state):
    now = timezone.now()
    assert live_figures.runner_state(Runner(**({"seen_at": now} | fields)), now) == state


def test_replaced_processes_are_shown_for_a_day(ops):
    now = timezone.now()
    Runner.objects.create(name="gpu0", url="http://127.0.0.1:9", process_replaced_at=now)
    Runner.objects.create(name="gpu1", url="http://127.0.0.1:9", process_replaced_at=now - timedelta(days=2))
    Mark.objects.create(name=BACKGROUND, at=now)
    page = ops.get("/admin/").content.decode()
    assert "A worker process of gpu0 died and was replaced" in page
    assert "A worker process of gpu1" not in page
    assert "A worker process of background tasks died" in page


def test_tenant_sees_only_its_own_figures(sign_in, source, other_source, ended, submission):
    Runner.objects.create(name="gpu-1", url="http://x")
    ended(cost=3)
    ended(State.FAILED, source=other_source, cost=5, error_code="foreign_error")
    admit(submission(source=other_source))
    update_hourly_figures()
    page = sign_in("tenant", source).get(LIVE)
    assert [(row["source"], row["month"]) for row in page.context["costs"]] == [(source, Decimal(3))]
    assert (page.context["queued"], page.context["failures"]) == (0, [])
    text = page.content.decode()
    assert not [word for word in ("foreign_error", "blog", "gpu-1") if word in text]


def test_costs_are_hidden_from_viewers(sign_in, ended):
    ended(cost=3)
    update_hourly_figures()
    shown = sign_in("viewer").get(LIVE).context
    assert "costs" not in shown
    assert "throughput" in shown


def test_figures_require_sign_in(client, db):
    assert client.get(LIVE).status_code == 302


def test_number_of_queries_does_not_depend_on_the_number_of_jobs(ops, ended):
    def queries() -> int:
        update_hourly_figures()
        with CaptureQueriesContext(connection) as captured:
            assert ops.get(LIVE).status_code == 200
        return len(captured)

    ended()
    few = queries()
    for number in range(5):
        ended(State.FAILED, error_code=f"code-{number}")
    assert queries() == few <= 23
