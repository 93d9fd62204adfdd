"""HTTP client of a runner: sends requests, reads event streams, and maps every failure to a RunnerError."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cache
from http import HTTPStatus
from typing import TypeVar

import httpx
from django.conf import settings
from pydantic import ValidationError

from gpu_runner.protocol import (
    EVENT,
    CancelMode,
    CancelRequest,
    Done,
    Event,
    Failed,
    Inventory,
    RunnerStatus,
    RunRequest,
    ServerCredentials,
    StrictModel,
    Workflow,
    WorkflowProblems,
)
from gpu_runner.protocol.workflows.imports.messages import Converted, EditorFile
from jobs.models import Runner
from jobs.outbound.tls import trusted

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 5.0  # of all calls except `generate`
KEEPALIVE_EXPIRY_S = (
    2.0  # shorter than the runner's keep-alive, so that no request meets a closing connection
)
IDLE_TIMEOUT_S = 60.0  # added to JOB_TIMEOUT_S: the worker, not the socket, enforces the job timeout
BUSY_STATUSES = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
MAX_CONNECTIONS = 100
CONNECT_ERRORS = (httpx.ConnectError, httpx.ConnectTimeout)
REQUEST_ERRORS = (httpx.RequestError, httpx.InvalidURL)


M = TypeVar("M", bound=StrictModel)


class RunnerError(Exception):
    pass


class RunnerUnreachable(RunnerError):
    """No connection to the runner could be made, so it did not receive the request."""


class RunnerDied(RunnerError):
    """The connection broke after the request was sent and before the final event."""


class NeverAccepted(RunnerDied):
    """The connection broke before the first event; it is unknown whether the runner read the request."""


class RunnerBusy(RunnerError):
    """The runner has no free slot; it did not accept the request."""


class RunnerRefused(RunnerError):
    """The runner rejected the request: a wrong token, or a request that it does not understand."""


@cache
def _http() -> httpx.Client:
    """HTTP client of this process, with one connection pool for all runners.

    `trust_env=False`: the proxies of the environment are for the internet; runners are in the private network.
    """
    return httpx.Client(
        verify=trusted(),
        trust_env=False,
        limits=httpx.Limits(
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_CONNECTIONS,
            keepalive_expiry=KEEPALIVE_EXPIRY_S,
        ),
    )


# The clusters of django-q2 fork: a child must not use the connections of its parent.
os.register_at_fork(after_in_child=_http.cache_clear)


class RunnerClient:
    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._headers = {"Authorization": f"Bearer {token}"}

    @classmethod
    def of(cls, runner: Runner) -> RunnerClient:
        return cls(runner.url, runner.token or settings.RUNNER_TOKEN)

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

    def converted_workflow(self, file: EditorFile) -> Converted:
        """Convert a file of ComfyUI's editor with the nodes of the server."""
        return self._read("POST", "/workflows/convert", Converted, file.model_dump_json())

    def refresh_inventory(self) -> None:
        """Have an adapter read the inventory of its ComfyUI server again."""
        self._answer("POST", "/inventory/refresh")

    def send_credentials(self, credentials: ServerCredentials) -> None:
        """Tell an adapter how to authenticate at its ComfyUI server."""
        self._answer("PUT", "/credentials", credentials.model_dump_json())

    def credentials_digest(self, credentials: ServerCredentials) -> str:
        """The digest that an adapter with these credentials reports."""
        return credentials.digest(self._token)

    def cancel(self, job_id: str, mode: CancelMode = "discard") -> None:
        self._answer("POST", f"/jobs/{job_id}/cancel", CancelRequest(mode=mode).model_dump_json())

    def unload(self) -> None:
        """Unload all models. Raises RunnerBusy while the runner has jobs."""
        self._answer("POST", "/unload")

    def generate(self, order: RunRequest) -> Iterator[Event]:
        """Send a job and yield its events; the last one is a Done or a Failed.

        Exhaust the iterator: otherwise the connection is not reused.
        Raises RunnerUnreachable, RunnerBusy, RunnerRefused or RunnerDied.
        """
        body = order.model_dump_json()
        try:
            with self._stream("POST", "/generate", body, settings.JOB_TIMEOUT_S + IDLE_TIMEOUT_S) as response:
                _raise_for(response)
                yield from _events(response)
        except CONNECT_ERRORS as error:
            raise RunnerUnreachable(_words(error)) from error
        except REQUEST_ERRORS as error:
            raise RunnerDied(_words(error)) from error

    def _answer(self, method: str, path: str, body: str | None = None) -> bytes:
        try:
            with self._stream(method, path, body, READ_TIMEOUT_S) as response:
                _raise_for(response)
                return response.read()
        except REQUEST_ERRORS as error:
            raise RunnerUnreachable(_words(error)) from error

    def _stream(
        self, method: str, path: str, body: str | None, timeout_s: float
    ) -> AbstractContextManager[httpx.Response]:
        json = {"Content-Type": "application/json"} if body is not None else {}
        return _http().stream(
            method,
            self._url + path,
            headers=self._headers | json,
            content=body,
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S, pool=CONNECT_TIMEOUT_S),
        )


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _events(response: httpx.Response) -> Iterator[Event]:
    """Parse the events. Reads to the end of the stream, which follows the final event immediately."""
    event: Event | None = None
    for line in _lines(response):
        event = _event(line)
        yield event
    if not isinstance(event, Done | Failed):
        raise RunnerDied("the event stream ended before its final event")


def _lines(response: httpx.Response) -> Iterator[bytes]:
    """Non-empty lines of an NDJSON response.

    `iter_lines` would also split at U+2028 and U+0085, which may occur unescaped in a JSON string.
    """
    parts: list[bytes] = []  # of an unfinished line: an image takes many chunks
    for chunk in response.iter_bytes():
        first, *others = chunk.split(b"\n")
        parts.append(first)
        for other in others:
            if line := b"".join(parts):
                yield line
            parts = [other]


def _event(line: bytes) -> Event:
    try:
        event = EVENT.validate_json(line)
    except ValidationError as error:
        raise RunnerDied("the runner sent a line that is not an event") from error
    if isinstance(event, Failed) and event.code == "busy":
        raise RunnerBusy(event.message)
    return event


def _raise_for(response: httpx.Response) -> None:
    if response.status_code in BUSY_STATUSES:
        raise RunnerBusy(f"it answered {response.status_code}")
    if response.status_code >= HTTPStatus.BAD_REQUEST:
        said = response.read().decode(errors="replace")
        raise RunnerRefused(f"it answered {response.status_code}: {said[:200]}")
