"""A fake runner that speaks the protocol over HTTP, with named behaviors and faults."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import queue
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image as PILImage
from pydantic import BaseModel

from gpu_runner.protocol import Accepted, Done, Failed, Findings, Image, Progress, RunnerStatus, RunRequest
from gpu_runner.protocol.findings import FacesFound, FoundFace, FoundTag, NsfwFound, TagsFound

TOKEN = "the runner's token"
SECONDS = 2.0  # reported by every job


class HungUp(Exception):
    """The client has disconnected, or the runner is being closed."""


class JobStream:
    """A run request and its event stream, as a behavior sees them."""

    def __init__(self, handler: Handler, run_request: RunRequest) -> None:
        self.run_request = run_request
        self._handler = handler
        self._signals: queue.SimpleQueue[str] = queue.SimpleQueue()

    def send(self, event: BaseModel) -> None:
        self.write(event.model_dump_json().encode() + b"\n")

    def write(self, line: bytes) -> None:
        self._handler.send_chunk(line)

    def wait_for_cancellation(self) -> str:
        """Wait for the next cancel request and return its mode."""
        mode = self._signals.get()
        if mode == "close":
            raise HungUp
        return mode

    def cancel(self, mode: str) -> None:
        self._signals.put(mode)

    def respond(self, status: int, content: dict[str, str]) -> None:
        self._handler.respond(status, content)

    def accept(self) -> None:
        self.send(Accepted(job_id=self.run_request.job_id))

    def show_progress(self, step: int = 1, *, with_preview: bool = True) -> None:
        preview = base64.b64encode(b"a small jpeg").decode() if with_preview else None
        self.send(Progress(step=step, steps=self.run_request.request.num_inference_steps, preview=preview))

    def send_image(self, index: int = 0, **verdict: bool | float) -> None:
        request = self.run_request.request
        size = {"width": request.width, "height": request.height}
        data = base64.b64encode(png(request.width, request.height)).decode()
        self.send(Image(index=index, seed=request.seed_of(index), data=data, **size, **verdict))

    def finish(self, steps: int | None = None) -> None:
        request = self.run_request.request
        all_steps = request.num_inference_steps * request.num_images
        run = all_steps if steps is None else steps
        self.send(Done(engine_seconds=SECONDS, device_seconds=SECONDS, steps_run=run))

    def send_findings(self, index: int = 0) -> None:
        """One face, four tags, or a safe image, as the request asks for."""
        analysis = self.run_request.request.analysis
        assert analysis is not None
        self.send(Findings(index=index, data=FINDINGS[analysis.find]))
        if analysis.crops:
            self.send_image()


FINDINGS = {
    "faces": FacesFound(
        width=320,
        height=320,
        faces=(
            FoundFace(
                score=0.93,
                box=(117, 60, 208, 178),
                landmarks=((141, 104), (184, 104), (163, 130), (145, 148), (180, 148)),
            ),
        ),
    ),
    "tags": TagsFound(
        tags=(
            FoundTag(name="red_circle", score=0.98, category="general"),
            FoundTag(name="blue_background", score=0.95, category="general"),
            FoundTag(name="hatsune_miku_(cosplay)", score=0.91, category="character"),
            FoundTag(name="^_^", score=0.62, category="general"),
        ),
        ratings=(FoundTag(name="safe", score=0.99, category="rating"),),
    ),
    "nsfw": NsfwFound(detected=False, score=0.03, threshold=0.8),
}


# Behaviors ---------------------------------------------------------------------------------------------------------


def generates(stream: JobStream) -> None:
    stream.accept()
    stream.show_progress()
    request = stream.run_request.request
    for index in range(request.num_results):
        if request.analysis is None:
            stream.send_image(index)
        else:
            stream.send_findings(index)
    stream.finish()


def generates_until_cancelled(stream: JobStream) -> None:
    """Runs one step, then waits for a cancel request."""
    stream.accept()
    stream.show_progress()
    if stream.wait_for_cancellation() == "discard":
        work = Done(engine_seconds=SECONDS, device_seconds=SECONDS, steps_run=1)
        stream.send(Failed(code="cancelled", message="cancelled", work=work))
    else:
        stream.send_image()
        stream.finish(steps=1)


def sends_two_steps(stream: JobStream) -> None:
    """Sends a step with a preview, and at once a second step without one."""
    stream.accept()
    stream.show_progress()
    stream.show_progress(2, with_preview=False)
    stream.wait_for_cancellation()


def dies_mid_stream(stream: JobStream) -> None:
    stream.accept()
    stream.send_image()
    raise HungUp


def dies_before_the_first_event(stream: JobStream) -> None:
    """Disconnects after the response headers, before the first event."""
    stream.write(b"\n")
    raise HungUp


def shuts_down(stream: JobStream) -> None:
    stream.accept()
    stream.send_image()
    stream.send(Failed(code="stopping", message="the runner is shutting down"))


def breaks(stream: JobStream) -> None:
    """The process is alive, but its engine has failed."""
    stream.accept()
    stream.send(Failed(code="lost", message="the runner's engine stopped"))


def is_busy(stream: JobStream) -> None:
    stream.respond(503, {"type": "failed", "code": "busy", "message": "the runner has no free slot"})


def fails_with_oom(stream: JobStream) -> None:
    stream.accept()
    stream.send_image()
    stream.send(Failed(code="out_of_memory", message="The image is too large for this runner."))


def rejects_the_input(stream: JobStream) -> None:
    stream.accept()
    stream.send(Failed(code="bad_request", message="the mask of the product covers the whole image"))


def rejects_the_token(stream: JobStream) -> None:
    stream.respond(401, {"error": "unauthorized"})


def is_silent(stream: JobStream) -> None:
    """Accepts the job, then sends nothing and ignores cancel requests."""
    stream.accept()
    while True:
        stream.wait_for_cancellation()


def generates_detected_nsfw(stream: JobStream) -> None:
    stream.accept()
    stream.send_image(nsfw=True, nsfw_score=0.97)
    stream.finish()


def rejects_its_output(stream: JobStream) -> None:
    stream.accept()
    stream.send_image()
    steps = stream.run_request.request.num_inference_steps
    work = Done(engine_seconds=SECONDS, device_seconds=SECONDS, steps_run=steps)
    stream.send(Failed(code="nsfw", message="the image was rejected by the NSFW check", work=work))


def omits_an_image(stream: JobStream) -> None:
    stream.accept()
    stream.finish()


def sends_invalid_events(stream: JobStream) -> None:
    stream.accept()
    stream.write(b'{"type": "unknown"}\n')


def drops_the_job(stream: JobStream) -> None:
    """Cancels the job without a cancel request."""
    stream.accept()
    stream.send(Failed(code="cancelled", message="cancelled"))


# The server ---------------------------------------------------------------------------------------------------------


class FakeRunner:
    def __init__(self, behavior: Callable[[JobStream], None] = generates) -> None:
        self.behavior = behavior
        self.status = RunnerStatus(
            boot_id="first boot", version="fake", device="nothing", slots=4, slots_busy=0
        )
        self.streams: dict[str, JobStream] = {}
        self.connections: list[socket.socket] = []
        self.cancellations: list[
            tuple[str, str]
        ] = []  # (job id, mode) of cancel requests, including unknown jobs
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"fake": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def run_requests(self) -> list[RunRequest]:
        return [stream.run_request for stream in self.streams.values()]

    def restart(self, boot_id: str) -> None:
        self.status = self.status.model_copy(update={"boot_id": boot_id, "jobs": ()})

    def hang_up(self) -> None:
        for stream in self.streams.values():
            stream.cancel("close")

    def close(self) -> None:
        """Close the server and its open connections, like a process that ends."""
        self.hang_up()
        self._server.shutdown()
        self._server.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):  # already closed
                connection.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeRunner

    def setup(self) -> None:
        super().setup()
        self.fake.connections.append(self.connection)

    def do_GET(self) -> None:
        if self._is_allowed():
            self.respond(200, self.fake.status.model_dump(mode="json"))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self._is_allowed():
            return
        if self.path == "/generate":
            self._generate(RunRequest.model_validate_json(body))
        elif self.path == "/unload":
            self._unload()
        else:
            self._cancel(self.path.split("/")[2], json.loads(body)["mode"])

    def _generate(self, run_request: RunRequest) -> None:
        stream = self.fake.streams[run_request.job_id] = JobStream(self, run_request)
        self._streams = False
        try:
            self.fake.behavior(stream)
            if self._streams:
                self.wfile.write(b"0\r\n\r\n")
        except (HungUp, ConnectionError):
            self.close_connection = True

    def _unload(self) -> None:
        if self.fake.status.slots_busy:
            self.respond(503, {"error": "invalid"})
        else:
            self.fake.status = self.fake.status.model_copy(update={"loaded": ()})
            self.respond(200, {"status": "ok"})

    def _cancel(self, job_id: str, mode: str) -> None:
        self.fake.cancellations.append((job_id, mode))
        stream = self.fake.streams.get(job_id)
        if stream is None:
            self.respond(404, {"error": "not_found"})
        else:
            stream.cancel(mode)
            self.respond(200, {"status": "ok"})

    def _is_allowed(self) -> bool:
        allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
        if not allowed:
            self.respond(401, {"error": "unauthorized"})
        return allowed

    def respond(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_chunk(self, data: bytes) -> None:
        if not self._streams:
            self._streams = True
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *args: object) -> None:
        """Keep access logs out of the test report."""


def png(width: int = 64, height: int = 64, color: str = "red") -> bytes:
    file = io.BytesIO()
    PILImage.new("RGB", (width, height), color).save(file, "PNG")
    return file.getvalue()
