from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import Schedule
from prometheus_client.parser import text_string_to_metric_families

from access.keys.authentication import Denied, authenticate
from gpu_runner.protocol import Done
from jobs.admission.admit import admit
from jobs.errors import TextModelFailed
from jobs.execution import lifecycle
from jobs.models import Job, Lane, Runner
from jobs.models.callback import Callback, CallbackAttempt
from jobs.text_model.functions import translate
from operations import counting, tasks
from telemetry.models import Mark, Tally

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _counts_from_now(settings):
    settings.METRICS_NETWORKS = ["127.0.0.1/32"]
    Mark.objects.update_or_create(name=counting.MARK, defaults={"at": timezone.now() - timedelta(hours=1)})


@pytest.fixture
def scrape(client, monkeypatch):
    """``scrape("atelier_queued_jobs", lane="bulk")``: the value of one sample."""
    monkeypatch.setattr(counting, "LAG", timedelta(seconds=-1))

    def scrape(name: str, **labels: str) -> float | None:
        text = client.get("/metrics").content.decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        return None

    return scrape


@pytest.fixture
def runner() -> Runner:
    seen = {"slots": 4, "boot_id": "first boot", "seen_at": timezone.now()}
    return Runner.objects.create(name="local", url="http://127.0.0.1:9", **seen)


@pytest.fixture
def finished(submission, runner):
    def finished(waited_s: float = 0.0, **fields) -> Job:
        job = admit(submission(**fields))
        lease = lifecycle.claim(job.pk, runner)
        lifecycle.succeed(lease, Done(steps_run=20, device_seconds=2.5, engine_seconds=3), [])
        job.refresh_from_db()
        Job.objects.filter(pk=job.pk).update(created_at=job.started_at - timedelta(seconds=waited_s))
        return job

    return finished


# Access


def test_metrics_are_not_found_without_authorization(client, settings):
    settings.METRICS_NETWORKS = []
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


def test_metrics_token_grants_access(client, settings):
    settings.METRICS_NETWORKS, settings.METRICS_TOKEN = [], "a long token"
    assert client.get("/metrics", headers={"Authorization": "Bearer a long token"}).status_code == 200
    assert client.get("/metrics", headers={"Authorization": "Bearer another"}).status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Basic a long token"}).status_code == 404


# Figures


def test_queue_is_reported_by_lane(scrape, submission):
    job = admit(submission(lane=Lane.BULK))
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(minutes=5))
    admit(submission(lane=Lane.BULK))
    assert scrape("atelier_queued_jobs", lane="bulk") == 2
    assert scrape("atelier_queued_jobs", lane="interactive") == 0
    assert 300 <= scrape("atelier_queue_oldest_seconds", lane="bulk") < 400


def test_jobs_are_counted_once_by_final_state(scrape, finished, submission):
    finished()
    lifecycle.cancel(admit(submission()).pk)
    for _ in range(2):
        assert scrape("atelier_jobs_ended_total", source="shop", state="succeeded") == 1
        assert scrape("atelier_jobs_ended_total", source="shop", state="cancelled") == 1
    assert scrape("atelier_device_seconds_total", source="shop") == 2.5


def test_counters_do_not_decrease_when_jobs_are_deleted(scrape, finished):
    finished()
    assert scrape("atelier_jobs_ended_total", state="succeeded") == 1
    Job.objects.all().delete()
    assert scrape("atelier_jobs_ended_total", state="succeeded") == 1


def test_job_is_counted_only_after_the_lag(finished):
    finished()
    assert counting.count_ended_rows() == 0
    assert counting.count_ended_rows(timezone.now()) == 1


def test_waiting_times_are_a_histogram(scrape, finished):
    for waited_s in (0.1, 3, 4000):
        finished(waited_s)
    name = "atelier_job_wait_seconds"
    buckets = [scrape(f"{name}_bucket", lane="async", le=limit) for limit in ("0.5", "5", "3600", "+Inf")]
    if None in buckets:  # older parsers format numbers as floats
        buckets = [
            scrape(f"{name}_bucket", lane="async", le=limit) for limit in ("0.5", "5.0", "3600.0", "+Inf")
        ]
    assert buckets == [1, 2, 2, 3]
    assert scrape(f"{name}_count", lane="async") == 3
    assert scrape(f"{name}_sum", lane="async") == pytest.approx(4003.1, abs=0.1)


def test_refusals_and_denials_are_counted_by_dialect_and_reason(scrape):
    from dialects.native.errors import Problem
    from jobs.errors import QueueFull

    refused = {"dialect": "native", "reason": "queue_full"}
    denied = {"dialect": "a1111", "reason": "unknown key"}
    before = [
        scrape("atelier_refusals_total", **refused) or 0,
        scrape("atelier_denials_total", **denied) or 0,
    ]
    Problem.of(QueueFull("full", retry_after=3))
    with pytest.raises(Denied):
        authenticate("ak-unknown", "x", dialect="a1111", address="127.0.0.1")
    assert scrape("atelier_refusals_total", **refused) == before[0] + 1
    assert scrape("atelier_denials_total", **denied) == before[1] + 1


def test_counters_of_the_runner_are_exported(scrape, runner):
    Runner.objects.update(figures={"steps_total": 80, "calls_total": 20, "rows_total": 80, "loads_total": 3})
    assert scrape("atelier_runner_up", runner="local") == 1
    assert scrape("atelier_runner_steps_total", runner="local") == 80
    assert scrape("atelier_runner_calls_total", runner="local") == 20
    assert scrape("atelier_runner_loads_total", runner="local") == 3


def test_callback_attempts_are_counted_by_result(scrape, submission):
    callback = Callback.objects.create(
        job=admit(submission()), dialect="native", url="http://x", state="dead"
    )
    for number, (status, acknowledged) in enumerate([(None, False), (500, False), (200, True)], start=1):
        CallbackAttempt.objects.create(
            callback=callback, number=number, status=status, acknowledged=acknowledged
        )
    for result in ("unreachable", "refused", "acknowledged"):
        assert scrape("atelier_callback_attempts_total", dialect="native", result=result) == 1
    assert scrape("atelier_callbacks", state="dead") == 1


def test_metrics_contain_no_secrets(client, runner, finished):
    runner.token = "the runner's own token"
    runner.save()
    finished()
    assert runner.token not in client.get("/metrics").content.decode()


def test_background_cluster_updates_the_counts_every_minute():
    schedule = Schedule.objects.get(func="operations.tasks.every_minute")
    assert (schedule.schedule_type, schedule.minutes) == (Schedule.MINUTES, 1)
    tasks.every_minute()
    assert not Tally.objects.exists()


def test_repeated_counting_counts_a_job_once(finished):
    finished()
    until = timezone.now()
    assert counting.count_ended_rows(until) + counting.count_ended_rows(until) == 1


def test_calls_of_the_text_model_are_counted_by_outcome(scrape, text_model):
    outcomes = ("answered", "failed")
    before = [scrape("atelier_text_model_calls_total", outcome=outcome) or 0 for outcome in outcomes]
    assert translate(translate("一只猫")) == translate("一只猫")  # cached
    text_model.misbehavior = "500"
    with pytest.raises(TextModelFailed):
        translate("蓝色")
    after = [scrape("atelier_text_model_calls_total", outcome=outcome) for outcome in outcomes]
    assert after == [count + 1 for count in before]
