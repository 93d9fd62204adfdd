"""Remaining time of a running job."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from jobs.models import Job, State
from jobs.scheduling import eta

LEASE_S = 60
START = timezone.now()


@pytest.fixture
def remaining(settings, monkeypatch):
    """Remaining seconds at a time after the start, with the last step written at another."""
    settings.JOB_LEASE_S = LEASE_S
    pk = uuid4()

    def remaining_s(at: float, step: int, written_at: float, steps: int = 20) -> float | None:
        monkeypatch.setattr(eta.timezone, "now", lambda: START + timedelta(seconds=at))
        lease = START + timedelta(seconds=written_at + LEASE_S)
        job = Job(
            state=State.RUNNING, started_at=START, lease_expires_at=lease, step=step, steps=steps, pk=pk
        )
        return eta.outlook(job).ends_in_s

    return remaining_s


def test_remaining_time_falls_while_a_slow_step_runs(remaining):
    seconds = [remaining(at, step=5, written_at=50) for at in range(50, 60)]
    assert seconds == [150 - waited for waited in range(10)]


def test_remaining_time_falls_from_step_to_step(remaining):
    polled = [(at, at // 10) for at in range(10, 200, 3)]
    seconds = [remaining(at, step, written_at=step * 10) for at, step in polled]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] == 190


def test_remaining_time_stands_still_rather_than_rise_when_steps_become_slower(remaining):
    slower = [(10, 1), (20, 2), (60, 3), (100, 4), (110, 5), (112, 6)]
    seconds = [remaining(at, step, written_at=at) for at, step in slower]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[1] == seconds[4] == 180
    assert seconds[-1] == 180  # 112 / 6 * 14 = 261 s, which would be more


def test_remaining_time_of_a_step_that_takes_much_longer_is_never_negative(remaining):
    assert remaining(500, step=19, written_at=190) == 0


def test_before_the_first_step_there_is_no_estimate(remaining):
    assert remaining(5, step=0, written_at=5) is None
