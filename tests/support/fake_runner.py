"""A runner that draws nothing, at the process border: the protocol over HTTP, with its misbehaviours by name."""

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

from gpu_runner.protocol import Accepted, Done, Failed, Image, Progress, RunnerStatus, RunRequest

TOKEN = "the runner's token"
SECONDS = 2.0  # what every job says it took


class HungUp(Exception):
    """The client has gone, or the runner is to go."""


class Talk:
    """One order and its answer, as a behaviour sees them."""

    def __init__(self, handler: Handler, order: RunRequest) -> None:
        self.order = order
        self._handler = handler
        self._told: queue.SimpleQueue[str] = queue.SimpleQueue()

    def say(self, event: BaseModel) -> None:
        self.write(event.model_dump_json().encode() + b"\n")

    def write(self, line: bytes) -> None:
        self._handler.send_chunk(line)

    def told(self) -> str:
        """What a client wants done to the job; waits until it wants something."""
        word = self._told.get()
        if word == "close":
            raise HungUp
        return word

    def tell(self, mode: str) -> None:
        self._told.put(mode)

    def refuse(self, status: int, answer: dict[str, str]) -> None:
        self._handler.answer(status, answer)

    def accept(self) -> None:
        self.say(Accepted(job_id=self.order.job_id))

    def show_progress(self, step: int = 1, *, with_preview: bool = True) -> None:
        preview = base64.b64encode(b"a small jpeg").decode() if with_preview else None
        self.say(Progress(step=step, steps=self.order.request.num_inference_steps, preview=preview))

    def draw(self, index: int = 0, **verdict: bool | float) -> None:
        request = self.order.request
        size = {"width": request.width, "height": request.height}
        data = base64.b64encode(png(request.width, request.height)).decode()
        self.say(Image(index=index, seed=request.seed_of(index), data=data, **size, **verdict))

    def finish(self, steps: int | None = None) -> None:
        request = self.order.request
        all_steps = request.num_inference_steps * request.num_images
        run = all_steps if steps is None else steps
        self.say(Done(engine_seconds=SECONDS, device_seconds=SECONDS, steps_run=run))


# Behaviours ---------------------------------------------------------------------------------------------------------


def draws(talk: Talk) -> None:
    talk.accept()
    talk.show_progress()
    for index in range(talk.order.request.num_outputs):
        talk.draw(index)
    talk.finish()


def draws_until_told(talk: Talk) -> None:
    """Has one step and one picture when it is told to stop."""
    talk.accept()
    talk.show_progress()
    if talk.told() == "discard":
        work = Done(engine_seconds=SECONDS, device_seconds=SECONDS, steps_run=1)
        talk.say(Failed(code="cancelled", message="cancelled", work=work))
    else:
        talk.draw()
        talk.finish(steps=1)


def continues_after_a_preview(talk: Talk) -> None:
    """Step 1 has a preview; step 2 follows immediately, without one."""
    talk.accept()
    talk.show_progress()
    talk.show_progress(2, with_preview=False)
    talk.told()


def dies_mid_stream(talk: Talk) -> None:
    talk.accept()
    talk.draw()
    raise HungUp


def dies_before_accepting(talk: Talk) -> None:
    """Begins the response, but sends no event."""
    talk.write(b"\n")
    raise HungUp


def shuts_down(talk: Talk) -> None:
    talk.accept()
    talk.draw()
    talk.say(Failed(code="stopping", message="the runner is shutting down"))


def loses_its_engine(talk: Talk) -> None:
    """The process runs on after its engine stopped."""
    talk.accept()
    talk.say(Failed(code="lost", message="the runner's engine stopped"))


def is_busy(talk: Talk) -> None:
    talk.refuse(503, {"type": "failed", "code": "busy", "message": "the runner has no free slot"})


def fails_with_oom(talk: Talk) -> None:
    talk.accept()
    talk.draw()
    talk.say(Failed(code="out_of_memory", message="The picture is too large for this runner."))


def finds_the_picture_wrong(talk: Talk) -> None:
    talk.accept()
    talk.say(Failed(code="bad_request", message="the mask leaves nothing to draw"))


def refuses_the_token(talk: Talk) -> None:
    talk.refuse(401, {"error": "unauthorized"})


def is_silent(talk: Talk) -> None:
    """Takes the order and says nothing more, whatever it is told."""
    talk.accept()
    while True:
        talk.told()


def draws_unfit_pictures(talk: Talk) -> None:
    talk.accept()
    talk.draw(nsfw=True, nsfw_score=0.97)
    talk.finish()


def refuses_its_picture(talk: Talk) -> None:
    talk.accept()
    talk.draw()
    steps = talk.order.request.num_inference_steps
    work = Done(engine_seconds=SECONDS, device_seconds=SECONDS, steps_run=steps)
    talk.say(Failed(code="nsfw", message="a picture was found unfit to be shown", work=work))


def omits_an_image(talk: Talk) -> None:
    talk.accept()
    talk.finish()


def sends_invalid_events(talk: Talk) -> None:
    talk.accept()
    talk.write(b'{"type": "unknown"}\n')


def drops_the_job(talk: Talk) -> None:
    """Nobody had asked it to."""
    talk.accept()
    talk.say(Failed(code="cancelled", message="cancelled"))


# The server ---------------------------------------------------------------------------------------------------------


class FakeRunner:
    def __init__(self, behaviour: Callable[[Talk], None] = draws) -> None:
        self.behaviour = behaviour
        self.status = RunnerStatus(
            boot_id="first boot", version="fake", device="nothing", slots=4, slots_busy=0
        )
        self.talks: dict[str, Talk] = {}
        self.connections: list[socket.socket] = []
        self.told: list[tuple[str, str]] = []  # (order, mode), also for orders that it never had
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"fake": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def orders(self) -> list[RunRequest]:
        return [talk.order for talk in self.talks.values()]

    def restart(self, boot_id: str) -> None:
        self.status = self.status.model_copy(update={"boot_id": boot_id, "jobs": ()})

    def hang_up(self) -> None:
        for talk in self.talks.values():
            talk.tell("close")

    def close(self) -> None:
        """Like a process that ends: the connections that clients keep open end as well."""
        self.hang_up()
        self._server.shutdown()
        self._server.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):  # it has ended already
                connection.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeRunner

    def setup(self) -> None:
        super().setup()
        self.fake.connections.append(self.connection)

    def do_GET(self) -> None:
        if self._is_allowed():
            self.answer(200, self.fake.status.model_dump(mode="json"))

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

    def _generate(self, order: RunRequest) -> None:
        talk = self.fake.talks[order.job_id] = Talk(self, order)
        self._streams = False
        self.close_connection = True
        try:
            self.fake.behaviour(talk)
            if self._streams:
                self.wfile.write(b"0\r\n\r\n")
                self.close_connection = False
        except (HungUp, ConnectionError):
            pass

    def _unload(self) -> None:
        if self.fake.status.slots_busy:
            self.answer(503, {"error": "invalid"})
        else:
            self.fake.status = self.fake.status.model_copy(update={"loaded": ()})
            self.answer(200, {"status": "ok"})

    def _cancel(self, order_id: str, mode: str) -> None:
        self.fake.told.append((order_id, mode))
        talk = self.fake.talks.get(order_id)
        if talk is None:
            self.answer(404, {"error": "not_found"})
        else:
            talk.tell(mode)
            self.answer(200, {"status": "ok"})

    def _is_allowed(self) -> bool:
        allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
        if not allowed:
            self.answer(401, {"error": "unauthorized"})
        return allowed

    def answer(self, status: int, answer: object) -> None:
        body = json.dumps(answer).encode()
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
        """Not into the report of a test run."""


def png(width: int = 64, height: int = 64, colour: str = "red") -> bytes:
    file = io.BytesIO()
    PILImage.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()
