"""Requests that wait for their job: each source has a share of the web threads, in every dialect with such requests."""

import socket
import threading

import pytest
from django.test import RequestFactory

from dialects.waiting import has_disconnected, wait_for_end
from jobs.admission.admit import admit
from jobs.execution.thread_shares import NoFreeThread, ThreadShares, waiting_requests
from jobs.models import State

FOREVER_S = 3600.0


@pytest.fixture
def connection():
    """The server's end of a connection, and the client's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def job(submission):
    return admit(submission())


def request_on(connection: socket.socket):
    return RequestFactory().post("/", **{"gunicorn.socket": connection})


def test_an_open_connection_is_not_disconnected(connection):
    ours, theirs = connection
    assert not has_disconnected(request_on(ours))
    theirs.send(b"POST /next HTTP/1.1")  # a pipelined request
    assert not has_disconnected(request_on(ours))
    assert ours.recv(4) == b"POST", "the check has consumed nothing"


def test_a_closed_connection_is_disconnected(connection):
    ours, theirs = connection
    theirs.close()
    assert has_disconnected(request_on(ours))


def test_a_server_that_does_not_pass_the_socket_never_sees_a_disconnect():
    assert not has_disconnected(RequestFactory().post("/"))


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_client_that_hangs_up_stops_waiting_and_its_job_continues(job, connection):
    ours, theirs = connection
    threading.Timer(0.1, theirs.close).start()
    assert wait_for_end(request_on(ours), job, FOREVER_S).state == State.QUEUED
    assert not waiting_requests.held_by(job.source_id)


@pytest.mark.django_db(transaction=True)
def test_a_source_at_its_share_does_not_wait(job, settings):
    settings.WAITING_REQUESTS_PER_SOURCE = 0
    with pytest.raises(NoFreeThread):
        wait_for_end(RequestFactory().post("/"), job, FOREVER_S)


def test_shares_are_limited_per_source_and_in_total(settings):
    settings.WAITING_REQUESTS, settings.WAITING_REQUESTS_PER_SOURCE = 3, 2
    shares = ThreadShares("WAITING_REQUESTS", "WAITING_REQUESTS_PER_SOURCE")
    shares.acquire(1)
    shares.acquire(1)
    with pytest.raises(NoFreeThread):
        shares.acquire(1)
    shares.acquire(2)
    with pytest.raises(NoFreeThread):
        shares.acquire(3)
    shares.release(1)
    with shares.hold(3):
        assert shares.held_by(3) == 1
    assert shares.held_by(3) == 0
