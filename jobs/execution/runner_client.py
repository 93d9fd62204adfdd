"""Talking to a runner: orders out, events in, and a name for each way in which that goes wrong.

By httpcore alone: on the way to a picture, what httpx does around it costs as much as the call itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import lru_cache
from http import HTTPStatus
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import httpcore
from django.conf import settings
from pydantic import ValidationError

from gpu_runner.protocol import (
    EVENT,
    CancelRequest,
    Done,
    Event,
    Failed,
    Inventory,
    RunnerStatus,
    RunRequest,
    StrictModel,
    Workflow,
    WorkflowProblems,
)
from jobs.models import Runner
from jobs.outbound.tls import trusted

CancelMode = Literal["discard", "interrupt", "skip"]

CONNECT_S = 3.0
ANSWER_S = 5.0  # of the short calls
KEPT_OPEN_S = 2.0  # less than the runner's server waits: a connection is never used while that closes it
LINGER_S = (
    60.0  # a silent stream outlives a job's longest run: whoever follows the job gives it up, not the socket
)
BUSY_STATUSES = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
MOST_CONNECTIONS = 100
NOBODY_ANSWERS = (httpcore.ConnectError, httpcore.ConnectTimeout)
# Of a connection, or of the address in the runner's row.
BROKEN = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)


M = TypeVar("M", bound=StrictModel)


class RunnerError(Exception):
    pass


class RunnerUnreachable(RunnerError):
    """It was never asked: nobody answers at its address."""


class RunnerDied(RunnerError):
    """It was sent the order, and went silent before its last word."""


class NeverAccepted(RunnerDied):
    """It did so before its first word, too: whether it read the order nobody knows."""


class RunnerBusy(RunnerError):
    """It has no free slot; it did not take the order."""


class RunnerRefused(RunnerError):
    """It answered, and will not do it: a wrong token, or an order that it does not understand."""


class RunnerClient:
    def __init__(self, url: str, token: str) -> None:
        # Through no proxy: one of the environment is for the way out of the house, not for the way to a runner.
        self._pool = httpcore.ConnectionPool(
            ssl_context=trusted(), max_connections=MOST_CONNECTIONS, keepalive_expiry=KEPT_OPEN_S
        )
        self._url = url.rstrip("/")
        self._headers = [("Host", urlsplit(url).netloc), ("Authorization", f"Bearer {token}")]

    @classmethod
    def of(cls, runner: Runner) -> RunnerClient:
        """One for a runner in a process: a worker follows job after job on the same connection."""
        return _kept(runner.url, runner.token or settings.RUNNER_TOKEN)

    def status(self) -> RunnerStatus:
        return self._read("GET", "/status", RunnerStatus)

    def _read(self, method: str, path: str, kind: type[M], body: str | None = None) -> M:
        try:
            return kind.model_validate_json(self._answer(method, path, body))
        except ValidationError as error:
            raise RunnerRefused(f"its answer to {path} is not one that this version understands") from error

    def inventory(self) -> Inventory:
        return self._read("GET", "/inventory", Inventory)

    def workflow_problems(self, workflow: Workflow) -> WorkflowProblems:
        return self._read("POST", "/workflows/check", WorkflowProblems, workflow.model_dump_json())

    def cancel(self, job_id: str, mode: CancelMode = "discard") -> None:
        self._answer("POST", f"/jobs/{job_id}/cancel", CancelRequest(mode=mode).model_dump_json())

    def unload(self) -> None:
        """Raises RunnerBusy while it has jobs."""
        self._answer("POST", "/unload")

    def generate(self, order: RunRequest) -> Iterator[Event]:
        """Events until the last word, which is a Done or a Failed."""
        try:
            with self._asked(
                "POST", "/generate", order.model_dump_json(), settings.JOB_TIMEOUT_S + LINGER_S
            ) as response:
                _raise_for(response)
                yield from _events(response)
        except NOBODY_ANSWERS as error:
            raise RunnerUnreachable(_words(error)) from error
        except BROKEN as error:
            raise RunnerDied(_words(error)) from error

    def _answer(self, method: str, path: str, body: str | None = None) -> bytes:
        try:
            with self._asked(method, path, body, ANSWER_S) as response:
                _raise_for(response)
                return response.read()
        except BROKEN as error:
            raise RunnerUnreachable(_words(error)) from error

    def _asked(
        self, method: str, path: str, body: str | None, answer_s: float
    ) -> AbstractContextManager[httpcore.Response]:
        content = body.encode() if body is not None else b""
        of_body = [("Content-Type", "application/json")] if body is not None else []
        timeout = {"connect": CONNECT_S, "read": answer_s, "write": answer_s, "pool": CONNECT_S}
        return self._pool.stream(
            method,
            self._url + path,
            headers=[*self._headers, *of_body, ("Content-Length", str(len(content)))],
            content=content,
            extensions={"timeout": timeout},
        )


@lru_cache(maxsize=8)
def _kept(url: str, token: str) -> RunnerClient:
    return RunnerClient(url, token)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _events(response: httpcore.Response) -> Iterator[Event]:
    """To the end of the stream, which comes right after the last word: only then the connection can be used again."""
    event: Event | None = None
    for line in _lines(response):
        event = _event(line)
        yield event
    if not isinstance(event, Done | Failed):
        raise RunnerDied("the stream of events ended before its last word")


def _lines(response: httpcore.Response) -> Iterator[bytes]:
    """Those that are not empty."""
    begun: list[bytes] = []  # a picture's line comes in many parts
    for part in response.iter_stream():
        first, *others = part.split(b"\n")
        begun.append(first)
        for other in others:
            if line := b"".join(begun):
                yield line
            begun = [other]


def _event(line: bytes) -> Event:
    try:
        event = EVENT.validate_json(line)
    except ValidationError as error:
        raise RunnerDied("it sent a line that is no event") from error
    if isinstance(event, Failed) and event.code == "busy":
        raise RunnerBusy(event.message)
    return event


def _raise_for(response: httpcore.Response) -> None:
    if response.status in BUSY_STATUSES:
        raise RunnerBusy(f"it answered {response.status}")
    if response.status >= HTTPStatus.BAD_REQUEST:
        said = response.read().decode(errors="replace")
        raise RunnerRefused(f"it answered {response.status}: {said[:200]}")
