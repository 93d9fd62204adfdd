"""Waking the processes of one host without a database's help."""

import pytest
from django.db import connection, transaction

from jobs import local_bells, wakeups
from jobs.local_bells import LocalEar

SOON_S = 10.0  # only so that a bell that is never heard fails its test


@pytest.fixture
def folder(tmp_path):
    """Deeper than a socket's address is long."""
    return tmp_path / ("deep" * 20) / ("deeper" * 20)


@pytest.fixture
def ear(folder):
    ear = LocalEar(folder, "work")
    ear.open()
    yield ear
    ear.close()


def test_bell_is_heard_with_its_payload(folder, ear):
    local_bells.ring(folder, "work", "a job")
    assert ear.hear(SOON_S) == ["a job"]


def test_bell_rung_before_the_wait_is_heard(folder, ear):
    for payload in ("one", "two"):
        local_bells.ring(folder, "work", payload)
    assert ear.hear(SOON_S) == ["one", "two"]


def test_every_ear_of_a_channel_hears_and_no_other(folder, ear):
    second, other = LocalEar(folder, "work"), LocalEar(folder, "ended")
    second.open(), other.open()
    local_bells.ring(folder, "work", "x")
    assert (ear.hear(SOON_S), second.hear(SOON_S), other.hear(0)) == (["x"], ["x"], [])
    second.close(), other.close()


def test_silence_ends_with_the_time(ear):
    assert ear.hear(0.01) == []


def test_ear_that_does_not_listen_stops_nobody(folder, ear):
    for _ in range(1000):
        local_bells.ring(folder, "work", "x")
    assert set(ear.hear(SOON_S)) == {"x"}


def test_ear_of_a_dead_process_is_swept_away(folder):
    dead = LocalEar(folder, "work")
    dead.open()
    dead._socket.close()
    local_bells.ring(folder, "work", "x")
    assert list(folder.iterdir()) == []


def test_closed_ear_leaves_nothing(folder, ear):
    ear.close()
    assert list(folder.iterdir()) == []


def test_ring_without_any_ear_does_nothing(tmp_path):
    local_bells.ring(tmp_path / "nobody", "work", "x")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("commits", [True, False])
def test_bell_is_heard_only_when_its_transaction_commits(settings, tmp_path, commits):
    settings.DATA_DIR = tmp_path
    ear = wakeups.ear(wakeups.WORK)
    ear.open()
    with transaction.atomic():
        wakeups.notify({wakeups.WORK: "x"})
        assert ear.hear(0) == []
        transaction.set_rollback(not commits)
    heard = ear.hear(SOON_S if commits else 0.05)
    ear.close()
    connection.close()
    assert heard == (["x"] if commits else [])
