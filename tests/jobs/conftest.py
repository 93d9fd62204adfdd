from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from django.conf import settings as django_settings
from django.db.models import Sum
from django.utils import timezone

from access.models import BusinessSource, Posting
from jobs.admission.admit import admit
from jobs.execution import lifecycle
from jobs.execution.lifecycle import Lease
from jobs.models import Job, Runner
from tests.support.fake_runner import TOKEN, FakeRunner


@pytest.fixture
def fake_runner(settings) -> Iterator[FakeRunner]:
    settings.RUNNER_TOKEN = TOKEN
    fake = FakeRunner()
    yield fake
    fake.close()


@pytest.fixture
def runner(db) -> Runner:
    """A runner row that was seen recently (in an hour, for slow machines). Its URL is not reachable."""
    seen = {"slots": 4, "boot_id": "first boot", "seen_at": timezone.now() + timedelta(hours=1)}
    return Runner.objects.create(name=django_settings.RUNNER_NAME, url="http://127.0.0.1:9", **seen)


@pytest.fixture
def live_runner(runner: Runner, fake_runner: FakeRunner) -> Runner:
    runner.url = fake_runner.url
    runner.save()
    return runner


@pytest.fixture
def job(submission) -> Job:
    return admit(submission())


@pytest.fixture
def lease(job: Job, runner: Runner) -> Lease:
    """Of a claimed job that a worker has begun."""
    lease = lifecycle.claim(job.pk, runner)
    lifecycle.begin(lease)
    return lease


@pytest.fixture
def reserved(source: BusinessSource) -> Callable[[], Decimal]:
    """``reserved()``: sum of the reservations of the source that are not released."""
    kinds = [Posting.Kind.RESERVE, Posting.Kind.RELEASE]
    return lambda: source.postings.filter(kind__in=kinds).aggregate(sum=Sum("amount"))["sum"]


@pytest.fixture
def postings() -> Callable[[Job], list[str]]:
    def postings(job: Job) -> list[str]:
        return list(Posting.objects.filter(job_id=job.pk).order_by("id").values_list("kind", flat=True))

    return postings
