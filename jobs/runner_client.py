"""Talking to a runner: orders out, events in, and a name for each way in which that goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, TypeVar

import httpx
from django.conf import settings
from pydantic import ValidationError

from gpu_runner.protocol import (
    EVENT,
    CancelOrder,
    Done,
    Event,
    Failed,
    Inventory,
    Message,
    RunnerStatus,
    RunOrder,
    Workflow,
    WorkflowProblems,
)

from .models import Runner
from .tls import trusted

CancelMode = Literal["discard", "interrupt", "skip"]

CONNECT_S = 3.0
ANSWER_S = 5.0  # of the short calls
KEPT_OPEN_S = 2.0  # less than the runner's server waits: a connection is never used while that closes it
LINGER_S = (
    60.0  # a silent stream outlives a job's longest run: whoever follows the job gives it up, not the socket
)
BUSY_STATUSES = frozenset({httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE})


M = TypeVar("M", bound=Message)


class RunnerError(Exception):
    pass


class RunnerUnreachable(RunnerError):
    """It was never asked: nobody answers at its address."""


class RunnerDied(RunnerError):
    """It had the order, and went silent before its last word."""


class RunnerBusy(RunnerError):
    """It has no free slot; it did not take the order."""


class RunnerRefused(RunnerError):
    """It answered, and will not do it: a wrong token, or an order that it does not understand."""


class RunnerClient:
    def __init__(self, url: str, token: str) -> None:
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        # A proxy of the environment is for the way out of the house, not for the way to a runner.
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout,
            trust_env=False,
            verify=trusted(),
            limits=httpx.Limits(keepalive_expiry=KEPT_OPEN_S),
        )

    @classmethod
    def of(cls, runner: Runner) -> RunnerClient:
        """One for a runner in a process: a worker follows job after job on the same connection."""
        return _kept(runner.url, runner.token or settings.RUNNER_TOKEN)

    def status(self) -> RunnerStatus:
        return self._read("GET", "/status", RunnerStatus)

    def _read(self, method: str, path: str, kind: type[M], body: str | None = None) -> M:
        try:
            return kind.model_validate_json(self._answer(method, path, body).content)
        except ValidationError as error:
            raise RunnerRefused(f"its answer to {path} is not one that this version understands") from error

    def inventory(self) -> Inventory:
        return self._read("GET", "/inventory", Inventory)

    def workflow_problems(self, workflow: Workflow) -> WorkflowProblems:
        return self._read("POST", "/workflows/check", WorkflowProblems, workflow.model_dump_json())

    def cancel(self, job_id: str, mode: CancelMode = "discard") -> None:
        self._answer("POST", f"/jobs/{job_id}/cancel", CancelOrder(mode=mode).model_dump_json())

    def unload(self) -> None:
        """Raises RunnerBusy while it has jobs."""
        self._answer("POST", "/unload")

    def generate(self, order: RunOrder) -> Iterator[Event]:
        """Events until the last word, which is a Done or a Failed."""
        timeout = httpx.Timeout(settings.JOB_TIMEOUT_S + LINGER_S, connect=CONNECT_S)
        body = order.model_dump_json()
        try:
            with self._http.stream(
                "POST", "/generate", content=body, headers=_JSON, timeout=timeout
            ) as response:
                if response.is_error:
                    response.read()
                    _raise_for(response)
                yield from _events(response)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise RunnerUnreachable(str(error)) from error
        except httpx.TransportError as error:
            raise RunnerDied(str(error) or type(error).__name__) from error

    def _answer(self, method: str, path: str, body: str | None = None) -> httpx.Response:
        try:
            response = self._http.request(method, path, content=body, headers=_JSON if body else None)
        except httpx.TransportError as error:
            raise RunnerUnreachable(str(error) or type(error).__name__) from error
        _raise_for(response)
        return response


@lru_cache(maxsize=8)
def _kept(url: str, token: str) -> RunnerClient:
    return RunnerClient(url, token)


_JSON = {"Content-Type": "application/json"}


def _events(response: httpx.Response) -> Iterator[Event]:
    for line in response.iter_lines():
        if not line:
            continue
        event = _event(line)
        yield event
        if isinstance(event, Done | Failed):
            return
    raise RunnerDied("the stream of events ended before its last word")


def _event(line: str) -> Event:
    try:
        event = EVENT.validate_json(line)
    except ValidationError as error:
        raise RunnerDied("it sent a line that is no event") from error
    if isinstance(event, Failed) and event.code == "busy":
        raise RunnerBusy(event.message)
    return event


def _raise_for(response: httpx.Response) -> None:
    if response.status_code in BUSY_STATUSES:
        raise RunnerBusy(f"it answered {response.status_code}")
    if response.is_error:
        raise RunnerRefused(f"it answered {response.status_code}: {response.text[:200]}")
