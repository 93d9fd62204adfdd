"""HTTP API of the runner: POST a job, stream its events (NDJSON). For private networks, with a bearer token."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gpu_runner.protocol import (
    PROTOCOL_VERSION,
    CancelRequest,
    Done,
    Event,
    Failed,
    RunnerStatus,
    RunRequest,
)
from gpu_runner.server.backend import Backend, JobHandle
from gpu_runner.server.versions import own_version

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_INLINE_PARSE_BYTES = (
    64 * 1024
)  # larger bodies are parsed in a thread, so that the event loop is not blocked
NDJSON = "application/x-ndjson"

Endpoint = Callable[[Request], Awaitable[Response]]


class RunnerApp:
    """Endpoints of a backend. ``slots`` is the number of jobs it accepts at the same time."""

    def __init__(self, engine: Backend, token: str, slots: int, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self.engine = engine
        self.slots = slots
        self._max_body_bytes = max_body_bytes
        self._token = token.encode()
        self._boot_id = uuid.uuid4().hex
        self._began = time.monotonic()

    def application(self) -> Starlette:
        """Return the ASGI application."""
        handlers = {HTTPException: _http_error, Exception: _server_error}
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
        """Wrap an endpoint so that it requires the bearer token."""

        async def guarded(request: Request) -> Response:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not secrets.compare_digest(given.encode(), self._token):
                raise HTTPException(401, "bearer token missing or invalid")
            return await endpoint(request)

        return guarded

    async def generate(self, request: Request) -> Response:
        """``POST /generate``: run a job and stream its events. 503 if no slot is free."""
        run_request = await read(request, RunRequest, self._max_body_bytes)
        if run_request.protocol != PROTOCOL_VERSION:
            raise HTTPException(422, f"protocol must be {PROTOCOL_VERSION} (got {run_request.protocol})")
        others = [job_id for job_id in self.engine.jobs() if job_id != run_request.job_id]
        if len(others) >= self.slots:
            busy = Failed(code="busy", message="the runner has no free slot")
            return Response(_line(busy), 503, {"Retry-After": "1"}, NDJSON)
        events: asyncio.Queue[Event] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def enqueue(event: Event) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        handle = self.engine.submit(run_request, enqueue)
        return StreamingResponse(_stream(handle, events), media_type=NDJSON)

    async def cancel(self, request: Request) -> Response:
        """``POST /jobs/{job_id}/cancel``. 404 if the job is not running here."""
        cancel_request = await read(request, CancelRequest)
        if not self.engine.cancel(request.path_params["job_id"], cancel_request.mode):
            raise HTTPException(404, "job not found on this runner")
        return JSONResponse({"status": "ok"})

    async def unload(self, request: Request) -> Response:
        """``POST /unload``: free the models. 503 while jobs are running."""
        if not await asyncio.to_thread(self.engine.unload):
            raise HTTPException(503, "models cannot be unloaded while jobs are running")
        return JSONResponse({"status": "ok"})

    async def status(self, request: Request) -> Response:
        """``GET /status``."""
        report, jobs = self.engine.report(), self.engine.jobs()
        status = RunnerStatus(
            boot_id=self._boot_id,
            backend=report.backend,
            version=report.version or own_version(),
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
            server=report.server,
            credentials=report.credentials,
        )
        return Response(status.model_dump_json(), media_type="application/json")

    async def health(self, request: Request) -> Response:
        """``GET /health``, without a token: 503 if the engine has ended."""
        alive = self.engine.alive
        return JSONResponse({"status": "ok" if alive else "dead"}, 200 if alive else 503)


async def _stream(handle: JobHandle, events: asyncio.Queue[Event]) -> AsyncIterator[bytes]:
    """Yield the events up to Done or Failed. If the worker disconnects, the job is discarded; it will be requeued."""
    try:
        event: Event | None = None
        while not isinstance(event, Done | Failed):
            event = await events.get()
            yield _line(event)
    finally:
        handle.discard()


def _line(event: BaseModel) -> bytes:
    return event.model_dump_json().encode() + b"\n"


M = TypeVar("M", bound=BaseModel)


async def read(request: Request, model: type[M], max_bytes: int = MAX_BODY_BYTES) -> M:
    """Parse the body of a request. Raises HTTPException 413 or 422."""
    body = await _body(request, max_bytes)
    try:
        if len(body) <= MAX_INLINE_PARSE_BYTES:
            return model.model_validate_json(body)
        return await asyncio.to_thread(model.model_validate_json, body)
    except ValidationError as error:
        raise HTTPException(422, _message(error)) from None


async def _body(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise HTTPException(413, f"the body must have at most {max_bytes} bytes")
    return bytes(body)


def _message(error: ValidationError) -> str:
    """Return location and message of the first error, without the input, which may contain prompts."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    location = ".".join(map(str, first["loc"]))
    return f"{location}: {first['msg']}" if location else first["msg"]


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"error": _error_code(error.status_code), "detail": error.detail}, error.status_code, error.headers
    )


async def _server_error(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "internal", "detail": "internal error of the runner"}, 500)


def _error_code(status: int) -> str:
    return {401: "unauthorized", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}.get(
        status, "invalid"
    )
