"""Notifications between processes, with the database of the test run."""

import time

import pytest
from django.db import connection, transaction

from access.models import BusinessSource
from jobs.execution import notifications

TIMEOUT_S = 60.0  # a notification that never arrives fails its test after this time
SHORT_S = 0.05

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="only PostgreSQL has notifications"
)
on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has notifications")


@pytest.fixture
def listener():
    listener = notifications.listener(notifications.ENDED)
    listener.open()
    yield listener
    listener.close()


@on_postgresql
def test_notification_is_received_when_its_transaction_commits(listener):
    with transaction.atomic():
        notifications.notify({notifications.ENDED: "a job", notifications.WORK: ""})
        assert listener.wait(SHORT_S) == []
    assert listener.wait(TIMEOUT_S) == ["a job"]


@on_postgresql
def test_notification_of_a_rolled_back_transaction_is_not_received(listener):
    with transaction.atomic():
        notifications.notify({notifications.ENDED: "a job"})
        transaction.set_rollback(True)
    assert listener.wait(SHORT_S) == []


@on_postgresql
def test_notification_of_another_channel_is_not_received(listener):
    notifications.notify({notifications.WORK: ""})
    assert listener.wait(SHORT_S) == []


@on_sqlite
def test_commit_of_another_connection_ends_the_wait(listener, together):
    def commit() -> None:
        BusinessSource.objects.create(name="another")

    started = time.monotonic()
    together(commit)
    assert listener.wait(TIMEOUT_S) == []
    assert time.monotonic() - started < TIMEOUT_S / 2


@on_sqlite
def test_wait_without_a_commit_ends_with_its_time(listener):
    listener.wait(0)
    started = time.monotonic()
    assert listener.wait(SHORT_S) == []
    assert time.monotonic() - started >= SHORT_S
