"""The real runner process over HTTP."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from gpu_runner.protocol import EVENT, Accepted, Done, Image, Progress, RunnerStatus
from gpu_runner.server.app import MAX_BODY_BYTES
from tests.support.event_listener import order_of, picture_file

ROOT = Path(__file__).parents[3]
TOKEN = "only for tests"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


class Runner:
    def __init__(self, root, slots=2):
        command = [sys.executable, "-m", "gpu_runner", "--models-root", str(root), "--slots", str(slots)]
        environment = os.environ | {"RUNNER_TOKEN": TOKEN, "TORCH_THREADS": "1", "RUNNER_DEVICE": "cpu"}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("runner listening on http://127.0.0.1:")
        self.client = httpx.Client(base_url=line.split()[-1], headers=AUTHORIZED, timeout=120)

    def close(self):
        self.client.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def generate(self, order):
        """The events of a whole run."""
        response = self.client.post("/generate", content=order.model_dump_json())
        assert response.status_code == 200
        return [EVENT.validate_json(line) for line in response.text.splitlines()]

    def stream(self, order):
        return self.client.stream("POST", "/generate", content=order.model_dump_json())

    def status(self):
        return RunnerStatus.model_validate_json(self.client.get("/status").content)

    def is_idle(self):
        deadline = time.monotonic() + 60
        while self.status().slots_busy:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return True


@pytest.fixture(scope="module")
def running(tiny_checkpoint):
    runner = Runner(tiny_checkpoint[0])
    yield runner
    runner.close()


@pytest.fixture
def runner(running):
    assert running.is_idle()
    return running


@pytest.fixture
def file(tiny_checkpoint):
    return tiny_checkpoint[1]


def first_event(lines):
    return EVENT.validate_json(next(lines))


def test_an_order_becomes_a_stream_of_events(runner, file):
    events = runner.generate(order_of("a", file, num_inference_steps=3, num_images=2))
    assert isinstance(events[0], Accepted)
    assert sum(isinstance(event, Progress) for event in events) == 6
    assert [event.index for event in events if isinstance(event, Image)] == [0, 1]
    assert isinstance(events[-1], Done)


def test_pictures_travel_beside_the_request(runner, file):
    events = runner.generate(order_of("a", file, picture_file("red"), strength=0.2))
    assert isinstance(events[-1], Done)


def test_the_same_order_gives_the_same_file(runner, file):
    order = order_of("a", file, sampler="Euler a", seed=5)
    first, second = ([e.data for e in runner.generate(order) if isinstance(e, Image)] for _ in range(2))
    assert first == second


def test_its_models_are_unloaded_while_it_has_no_jobs(runner, file):
    runner.generate(order_of("a", file))
    assert runner.status().loaded
    assert runner.client.post("/unload").status_code == 200
    assert not runner.status().loaded
    assert isinstance(runner.generate(order_of("a", file))[-1], Done)


def test_its_models_stay_while_it_has_jobs(runner, file):
    with runner.stream(order_of("long", file, num_inference_steps=500)) as response:
        lines = response.iter_lines()
        assert isinstance(first_event(lines), Accepted)
        assert runner.client.post("/unload").status_code == 503


def test_the_process_ends_with_its_engine(tmp_path):
    code = """
import sys
from gpu_runner import __main__, engine
def lose_the_device(self): raise RuntimeError("the device is lost")
engine.Engine._read_inbox = lose_the_device
sys.exit(__main__.main())
"""
    environment = os.environ | {"RUNNER_TOKEN": TOKEN, "RUNNER_DEVICE": "cpu", "MODELS_ROOT": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=False)
    assert ended.returncode == 1


def test_health_needs_no_token(runner):
    response = httpx.get(runner.client.base_url.join("/health"))
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}]
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/status"), ("POST", "/generate"), ("POST", "/jobs/a/cancel")]
)
def test_everything_else_needs_the_token(runner, method, path, headers):
    response = httpx.request(method, runner.client.base_url.join(path), headers=headers)
    assert response.status_code == 401
    assert response.json()["error"] == "unauthorized"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "JSON"),
        (b"[]", "object"),
        (b'{"job_id": "a"}', "request"),
        (b'{"secret": "do not repeat me"}', "Field required"),
    ],
)
def test_a_bad_order_is_answered_without_repeating_it(runner, body, words):
    response = runner.client.post("/generate", content=body)
    assert response.status_code == 422
    assert words in response.json()["detail"]
    assert "do not repeat me" not in response.text


def test_another_protocol_is_refused(runner, file):
    order = order_of("a", file).model_copy(update={"protocol": 99})
    response = runner.client.post("/generate", content=order.model_dump_json())
    assert response.status_code == 422
    assert "protocol" in response.json()["detail"]


def test_a_body_beyond_all_measure_is_refused(runner):
    response = runner.client.post("/generate", content=b" " * (MAX_BODY_BYTES + 1))
    assert response.status_code == 413


def test_an_unknown_sampler_fails_the_job(runner, file):
    events = runner.generate(order_of("a", file, sampler="Bogus"))
    assert events[-1].code == "bad_request"


def test_status_tells_what_a_scheduler_wants_to_know(runner, file):
    before = runner.status()
    runner.generate(order_of("a", file, num_inference_steps=4))
    after = runner.status()
    assert (after.slots, after.slots_busy, after.device) == (2, 0, "cpu")
    assert after.boot_id == before.boot_id
    assert after.steps_total == before.steps_total + 4
    assert [model.sha256 for model in after.loaded] == [file.sha256]
    assert after.memory_bytes > 0


def test_no_slot_is_a_503_until_one_is_free(runner, file):
    long = {"num_inference_steps": 500}
    with runner.stream(order_of("a", file, **long)) as a, runner.stream(order_of("b", file, **long)) as b:
        streams = a.iter_lines(), b.iter_lines()  # dropping one would hang up
        assert all(isinstance(first_event(lines), Accepted) for lines in streams)
        assert set(runner.status().jobs) == {"a", "b"}
        refused = runner.client.post("/generate", content=order_of("c", file).model_dump_json())
        assert refused.status_code == 503
        assert EVENT.validate_json(refused.content).code == "busy"
        assert runner.client.post("/jobs/a/cancel", json={}).status_code == 200
        assert isinstance(runner.generate(order_of("c", file))[-1], Done)


def test_a_cancelled_stream_ends_with_the_reason(runner, file):
    with runner.stream(order_of("a", file, num_inference_steps=500)) as response:
        lines = response.iter_lines()
        first_event(lines)
        runner.client.post("/jobs/a/cancel", json={"mode": "discard"})
        *_, last = (EVENT.validate_json(line) for line in lines)
    assert last.code == "cancelled"


def test_an_interrupted_stream_ends_with_a_picture(runner, file):
    with runner.stream(order_of("a", file, num_inference_steps=500)) as response:
        lines = response.iter_lines()
        first_event(lines)
        runner.client.post("/jobs/a/cancel", json={"mode": "interrupt"})
        *_, image, done = (EVENT.validate_json(line) for line in lines)
    assert isinstance(image, Image)
    assert isinstance(done, Done)
    assert done.steps_run < 500


def test_cancelling_an_unknown_job_is_a_404(runner):
    assert runner.client.post("/jobs/nobody/cancel", json={}).status_code == 404


def test_an_unknown_way_to_cancel_is_a_422(runner):
    assert runner.client.post("/jobs/a/cancel", json={"mode": "explode"}).status_code == 422


def test_a_worker_that_hangs_up_frees_its_slot(runner, file):
    with runner.stream(order_of("a", file, num_inference_steps=500)) as response:
        first_event(response.iter_lines())
    assert runner.is_idle()


def test_a_claim_after_a_lost_worker_takes_the_jobs_own_slot(runner, file):
    long = order_of("a", file, num_inference_steps=500)
    with runner.stream(long) as lost, runner.stream(order_of("b", file, num_inference_steps=500)) as other:
        lines, others = lost.iter_lines(), other.iter_lines()
        assert all(isinstance(first_event(stream), Accepted) for stream in (lines, others))
        assert isinstance(runner.generate(order_of("a", file))[-1], Done)
        *_, last = (EVENT.validate_json(line) for line in lines)
        assert (last.code, last.message) == ("cancelled", "the job was cancelled")


def test_many_workers_at_once_are_all_answered(runner, file):
    with ThreadPoolExecutor(2) as workers:
        orders = [order_of(f"job-{number}", file, seed=number) for number in range(6)]
        assert all(isinstance(events[-1], Done) for events in workers.map(runner.generate, orders))


def test_a_stopping_runner_ends_its_streams_and_exits_cleanly(tiny_checkpoint, file):
    runner = Runner(tiny_checkpoint[0])
    try:
        with runner.stream(order_of("a", file, num_inference_steps=500)) as response:
            lines = response.iter_lines()
            first_event(lines)
            runner.process.send_signal(signal.SIGTERM)
            *_, last = (EVENT.validate_json(line) for line in lines)
        assert (last.code, last.message) == ("stopping", "the runner is shutting down")
        assert runner.process.wait(timeout=60) == 0
    finally:
        runner.close()


def test_without_a_token_it_does_not_start(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "RUNNER_TOKEN"}
    command = [sys.executable, "-m", "gpu_runner", "--models-root", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "RUNNER_TOKEN" in ended.stderr
