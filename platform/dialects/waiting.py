"""Synchronous requests: wait for the end of a job on behalf of an HTTP client."""

from __future__ import annotations

import socket

from django.http import HttpRequest

from jobs.execution.completion_waiter import wait_for
from jobs.execution.thread_shares import waiting_requests
from jobs.models import Job

RETRY_AFTER_S = 5


def wait_for_end(request: HttpRequest, job: Job, timeout_s: float) -> Job:
    """Wait until the job ends, the time is over, or the client has disconnected. Returns the job, ended or not.

    The request occupies a web thread meanwhile. Raises NoFreeThread if the source already has its share of them:
    the job continues, and the response should contain its id and ``Retry-After``.
    """
    if timeout_s <= 0:
        return wait_for(job.pk, 0)
    with waiting_requests.hold(job.source_id):
        return wait_for(job.pk, timeout_s, is_abandoned=lambda: has_disconnected(request))


def has_disconnected(request: HttpRequest) -> bool:
    """Whether the client, or the proxy in front, has closed the connection. False if the server does not tell."""
    connection: socket.socket | None = request.META.get("gunicorn.socket")
    if connection is None:
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:  # nothing to read: the client waits
        return False
    except OSError:
        return True
