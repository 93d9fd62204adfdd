"""The runner's HTTP surface: orders in, events out. For workers on a loopback or private network, with a bearer token."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import metadata
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gpu_runner.protocol import (
    PROTOCOL_VERSION,
    CancelOrder,
    Done,
    Event,
    Failed,
    RunnerStatus,
    RunRequest,
)
from gpu_runner.server.backend import Backend, JobHandle

MAX_BODY_BYTES = 64 * 1024 * 1024
READ_AT_ONCE_BYTES = 64 * 1024  # in less time than it takes to hand it to a thread
NDJSON = "application/x-ndjson"

Endpoint = Callable[[Request], Awaitable[Response]]


class RunnerApp:
    """The endpoints of one backend."""

    def __init__(self, engine: Backend, token: str, slots: int) -> None:
        self.engine = engine
        self.slots = slots
        self._token = token.encode()
        self._boot_id = uuid.uuid4().hex
        self._began = time.monotonic()

    def application(self) -> Starlette:
        handlers = {HTTPException: _refused, Exception: _broken}
        return Starlette(routes=self.routes(), exception_handlers=handlers)

    def routes(self) -> list[Route]:
        return [
            Route("/generate", self.guarded(self.generate), methods=["POST"]),
            Route("/jobs/{job_id}/cancel", self.guarded(self.cancel), methods=["POST"]),
            Route("/unload", self.guarded(self.unload), methods=["POST"]),
            Route("/status", self.guarded(self.status)),
            Route("/health", self.health),
        ]

    def guarded(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not secrets.compare_digest(given.encode(), self._token):
                raise HTTPException(401, "the bearer token is missing or wrong")
            return await endpoint(request)

        return guarded

    async def generate(self, request: Request) -> Response:
        order = await read(request, RunRequest)
        if order.protocol != PROTOCOL_VERSION:
            raise HTTPException(422, f"this runner speaks protocol {PROTOCOL_VERSION}, not {order.protocol}")
        others = [job_id for job_id in self.engine.jobs() if job_id != order.job_id]
        if len(others) >= self.slots:
            busy = Failed(code="busy", message="the runner has no free slot")
            return Response(_line(busy), 503, {"Retry-After": "1"}, NDJSON)
        events: asyncio.Queue[Event] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def hand_over(event: Event) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        run = self.engine.submit(order, hand_over)
        return StreamingResponse(_stream(run, events), media_type=NDJSON)

    async def cancel(self, request: Request) -> Response:
        order = await read(request, CancelOrder)
        if not self.engine.cancel(request.path_params["job_id"], order.mode):
            raise HTTPException(404, "the runner does not hold this job")
        return JSONResponse({"status": "ok"})

    async def unload(self, request: Request) -> Response:
        if not await asyncio.to_thread(self.engine.unload):
            raise HTTPException(503, "the runner has jobs; their models stay")
        return JSONResponse({"status": "ok"})

    async def status(self, request: Request) -> Response:
        report, jobs = self.engine.report(), self.engine.jobs()
        status = RunnerStatus(
            boot_id=self._boot_id,
            backend=report.backend,
            version=report.version or _version(),
            device=report.device,
            slots=self.slots,
            slots_busy=len(jobs),
            jobs=jobs,
            loaded=report.loaded,
            memory_bytes=report.memory_bytes,
            steps_total=report.steps_total,
            calls_total=report.calls_total,
            rows_total=report.rows_total,
            loads_total=report.loads_total,
            uptime_s=time.monotonic() - self._began,
            problem=report.problem,
            inventory=report.inventory,
        )
        return Response(status.model_dump_json(), media_type="application/json")

    async def health(self, request: Request) -> Response:
        alive = self.engine.alive
        return JSONResponse({"status": "ok" if alive else "dead"}, 200 if alive else 503)


def _version() -> str:
    try:
        return metadata.version("atelier")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "source"


async def _stream(run: JobHandle, events: asyncio.Queue[Event]) -> AsyncIterator[bytes]:
    """When the worker hangs up in mid-stream, it is gone, and its job will be given to another."""
    try:
        event: Event | None = None
        while not isinstance(event, Done | Failed):
            event = await events.get()
            yield _line(event)
    finally:
        run.discard()


def _line(event: BaseModel) -> bytes:
    return event.model_dump_json().encode() + b"\n"


M = TypeVar("M", bound=BaseModel)


async def read(request: Request, kind: type[M]) -> M:
    body = await _body(request)
    try:
        if len(body) <= READ_AT_ONCE_BYTES:
            return kind.model_validate_json(body)
        return await asyncio.to_thread(kind.model_validate_json, body)
    except ValidationError as error:
        raise HTTPException(422, _complaint(error)) from None


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _complaint(error: ValidationError) -> str:
    """Where and why, never the input itself."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"error": _name(error.status_code), "detail": error.detail}, error.status_code, error.headers
    )


async def _broken(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "internal", "detail": "the runner could not answer"}, 500)


def _name(status: int) -> str:
    return {401: "unauthorized", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}.get(
        status, "invalid"
    )
