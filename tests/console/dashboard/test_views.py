"""The first page: live numbers, sums by the hour, and for everyone no more than their own."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.dashboard import live_figures
from console.dashboard.hourly_figures import bring_up_to_date
from console.models import HourlyFigures
from jobs.admission.admit import admit
from jobs.models import Job, Runner, State

LIVE = "/admin/dashboard/live/"


@pytest.fixture
def ended(submission):
    """``ended(State.FAILED, error_code="oom", hours_ago=2)``: a job that is over."""

    def ended(state=State.SUCCEEDED, *, hours_ago=0.0, waited_s=2.0, **fields) -> Job:
        job = admit(submission(**{name: fields.pop(name) for name in ("source",) if name in fields}))
        at = timezone.now() - timedelta(hours=hours_ago)
        moments = {"started_at": at, "finished_at": at, "created_at": at - timedelta(seconds=waited_s)}
        Job.objects.filter(pk=job.pk).update(state=state, **moments, **fields)
        return job

    return ended


def test_the_first_page_shows_what_waits_and_what_failed(ops, submission, ended):
    admit(submission())
    ended(State.FAILED, error_code="out_of_memory")
    bring_up_to_date()
    page = ops.get("/admin/")
    assert page.context["queued"] == 1
    assert [(row["code"], row["jobs"]) for row in page.context["failures"]] == [("out_of_memory", 1)]
    assert "error_code=out_of_memory" in page.content.decode()


def test_the_way_from_a_failure_leads_to_its_jobs(ops, ended):
    failed, other = ended(State.FAILED, error_code="out_of_memory"), ended(State.FAILED, error_code="nsfw")
    bring_up_to_date()
    (row,) = [row for row in ops.get(LIVE).context["failures"] if row["code"] == "out_of_memory"]
    page = ops.get(row["url"]).content.decode()
    assert str(failed.pk) in page
    assert str(other.pk) not in page


def test_sums_by_the_hour_are_those_of_the_jobs(ended):
    now = datetime.now(UTC).replace(minute=30)
    for hours_ago, cost in ((0, 1), (0, 2), (30, 4)):
        ended(hours_ago=hours_ago, cost=cost)
    bring_up_to_date()
    assert sum(row.cost for row in HourlyFigures.objects.all()) == Decimal(7)
    assert sum(row.jobs for row in HourlyFigures.objects.all()) == 3
    assert HourlyFigures.objects.filter(hour__lt=now - timedelta(hours=25)).count() == 1


def test_summing_twice_counts_nothing_twice_and_misses_nothing_new(ended):
    ended(cost=1)
    bring_up_to_date()
    bring_up_to_date()
    ended(cost=2)
    bring_up_to_date()
    assert sum(row.cost for row in HourlyFigures.objects.all()) == Decimal(3)


def test_waits_are_told_by_their_median_and_their_tail(ended):
    for waited in range(1, 21):
        ended(waited_s=waited)
    pace = live_figures.pace(None, timezone.now())
    assert (round(pace.p50_s), round(pace.p95_s)) == (11, 20)
    assert pace.per_minute == pytest.approx(20 / 15)


def test_a_runner_is_shown_with_its_load_and_the_names_of_its_models(ops, checkpoint, submission):
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
        ({"seen_at": None}, "silent"),
    ],
)
def test_the_state_of_a_runner(fields, state):
    now = timezone.now()
    assert live_figures.runner_state(Runner(**({"seen_at": now} | fields)), now) == state


def test_a_tenant_sees_its_own_numbers_only(sign_in, source, other_source, ended, submission):
    Runner.objects.create(name="gpu-1", url="http://x")
    ended(cost=3)
    ended(State.FAILED, source=other_source, cost=5, error_code="their_trouble")
    admit(submission(source=other_source))
    bring_up_to_date()
    page = sign_in("tenant", source).get("/admin/")
    assert [(row["source"], row["month"]) for row in page.context["costs"]] == [(source, Decimal(3))]
    assert (page.context["queued"], page.context["failures"]) == (0, [])
    text = page.content.decode()
    assert not [word for word in ("their_trouble", "blog", "gpu-1") if word in text]


def test_money_is_not_for_viewers(sign_in, ended):
    ended(cost=3)
    bring_up_to_date()
    shown = sign_in("viewer").get(LIVE).context
    assert "costs" not in shown
    assert "pace" in shown


def test_the_numbers_are_for_those_who_signed_in(client, db):
    assert client.get(LIVE).status_code == 302


def test_the_numbers_cost_the_same_queries_however_many_jobs_there_are(ops, ended):
    def queries() -> int:
        bring_up_to_date()
        with CaptureQueriesContext(connection) as captured:
            assert ops.get(LIVE).status_code == 200
        return len(captured)

    ended()
    few = queries()
    for number in range(5):
        ended(State.FAILED, error_code=f"code-{number}")
    assert queries() == few <= 18
