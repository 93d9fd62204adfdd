"""HTTP API of a real runner process."""

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
from tests.support.event_listener import image_file, order_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
TOKEN = "only for tests"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


class Runner:
    def __init__(self, root, command=("-m", "gpu_runner")):
        command = [sys.executable, *command, "--models-root", str(root), "--slots", "2"]
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

    def generate(self, run_request):
        """Return all events of a job."""
        response = self.client.post("/generate", content=run_request.model_dump_json())
        assert response.status_code == 200
        return [EVENT.validate_json(line) for line in response.text.splitlines()]

    def stream(self, run_request):
        return self.client.stream("POST", "/generate", content=run_request.model_dump_json())

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


def test_a_job_streams_its_events(runner, file):
    events = runner.generate(order_of("a", file, num_inference_steps=3, num_images=2))
    assert isinstance(events[0], Accepted)
    assert sum(isinstance(event, Progress) for event in events) == 6
    assert [event.index for event in events if isinstance(event, Image)] == [0, 1]
    assert isinstance(events[-1], Done)


def test_input_images_are_sent_beside_the_request(runner, file):
    events = runner.generate(order_of("a", file, image_file("red"), strength=0.2))
    assert isinstance(events[-1], Done)


def test_equal_requests_give_equal_files(runner, file):
    run_request = order_of("a", file, sampler="Euler a", seed=5)
    first, second = ([e.data for e in runner.generate(run_request) if isinstance(e, Image)] for _ in range(2))
    assert first == second


def test_models_are_unloaded_without_running_jobs(runner, file):
    runner.generate(order_of("a", file))
    assert runner.status().loaded
    assert runner.client.post("/unload").status_code == 200
    assert not runner.status().loaded
    assert isinstance(runner.generate(order_of("a", file))[-1], Done)


def test_unload_is_rejected_while_jobs_are_running(runner, file):
    with runner.stream(order_of("long", file, num_inference_steps=500)) as response:
        lines = response.iter_lines()
        assert isinstance(first_event(lines), Accepted)
        assert runner.client.post("/unload").status_code == 503


LOSES_THE_DEVICE = """
import os, torch
from gpu_runner.engine import command
from gpu_runner.networks import batched_calls

def execute(operations):
    raise torch.AcceleratorError("illegal memory access")

batched_calls.execute = execute
os._exit(command.main())
"""


def test_the_process_exits_when_the_engine_fails(tiny_checkpoint, file):
    runner = Runner(tiny_checkpoint[0], command=("-c", LOSES_THE_DEVICE))
    try:
        assert runner.generate(order_of("a", file))[-1].code == "lost"
        assert runner.process.wait(timeout=60) == 1
    finally:
        runner.close()


def test_health_needs_no_token(runner):
    response = httpx.get(runner.client.base_url.join("/health"))
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}]
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/status"), ("POST", "/generate"), ("POST", "/jobs/a/cancel")]
)
def test_all_other_endpoints_need_the_token(runner, method, path, headers):
    response = httpx.request(method, runner.client.base_url.join(path), headers=headers)
    assert response.status_code == 401
    assert response.json()["error"] == "unauthorized"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON"),
        (b"[]", "object"),
        (b'{"job_id": "a"}', "request"),
        (b'{"secret": "do not repeat me"}', "Field required"),
    ],
)
def test_an_invalid_body_is_rejected_without_repeating_it(runner, body, message):
    response = runner.client.post("/generate", content=body)
    assert response.status_code == 422
    assert message in response.json()["detail"]
    assert "do not repeat me" not in response.text


def test_another_protocol_version_is_rejected(runner, file):
    run_request = order_of("a", file).model_copy(update={"protocol": 99})
    response = runner.client.post("/generate", content=run_request.model_dump_json())
    assert response.status_code == 422
    assert "protocol" in response.json()["detail"]


def test_a_body_that_is_too_large_is_rejected(runner):
    response = runner.client.post("/generate", content=b" " * (MAX_BODY_BYTES + 1))
    assert response.status_code == 413


def test_an_unknown_sampler_fails_the_job(runner, file):
    events = runner.generate(order_of("a", file, sampler="Bogus"))
    assert events[-1].code == "bad_request"


def test_status_reports_slots_models_and_counters(runner, file):
    before = runner.status()
    runner.generate(order_of("a", file, num_inference_steps=4))
    after = runner.status()
    assert (after.slots, after.slots_busy, after.device) == (2, 0, "cpu")
    assert after.boot_id == before.boot_id
    assert after.steps_total == before.steps_total + 4
    assert [model.sha256 for model in after.loaded] == [file.sha256]
    assert after.memory_bytes > 0


def test_a_runner_without_a_free_slot_responds_with_503(runner, file):
    long = {"num_inference_steps": 500}
    with runner.stream(order_of("a", file, **long)) as a, runner.stream(order_of("b", file, **long)) as b:
        streams = a.iter_lines(), b.iter_lines()  # keep references: a dropped iterator disconnects
        assert all(isinstance(first_event(lines), Accepted) for lines in streams)
        assert set(runner.status().jobs) == {"a", "b"}
        refused = runner.client.post("/generate", content=order_of("c", file).model_dump_json())
        assert refused.status_code == 503
        assert EVENT.validate_json(refused.content).code == "busy"
        assert runner.client.post("/jobs/a/cancel", json={}).status_code == 200
        assert isinstance(runner.generate(order_of("c", file))[-1], Done)


def test_a_cancelled_job_ends_with_the_code_cancelled(runner, file):
    with runner.stream(order_of("a", file, num_inference_steps=500)) as response:
        lines = response.iter_lines()
        first_event(lines)
        runner.client.post("/jobs/a/cancel", json={"mode": "discard"})
        *_, last = (EVENT.validate_json(line) for line in lines)
    assert last.code == "cancelled"


def test_an_interrupted_job_ends_with_its_image(runner, file):
    with runner.stream(order_of("a", file, num_inference_steps=500)) as response:
        lines = response.iter_lines()
        first_event(lines)
        runner.client.post("/jobs/a/cancel", json={"mode": "interrupt"})
        *_, image, done = (EVENT.validate_json(line) for line in lines)
    assert isinstance(image, Image)
    assert isinstance(done, Done)
    assert done.steps_run < 500


def test_cancelling_an_unknown_job_is_a_404(runner):
    assert runner.client.post("/jobs/unknown/cancel", json={}).status_code == 404


def test_an_unknown_cancel_mode_is_a_422(runner):
    assert runner.client.post("/jobs/a/cancel", json={"mode": "explode"}).status_code == 422


def test_a_disconnected_worker_frees_its_slot(runner, file):
    with runner.stream(order_of("a", file, num_inference_steps=500)) as response:
        first_event(response.iter_lines())
    assert runner.is_idle()


def test_a_requeued_job_replaces_its_own_running_copy(runner, file):
    long = order_of("a", file, num_inference_steps=500)
    with runner.stream(long) as lost, runner.stream(order_of("b", file, num_inference_steps=500)) as other:
        lines, others = lost.iter_lines(), other.iter_lines()
        assert all(isinstance(first_event(stream), Accepted) for stream in (lines, others))
        assert isinstance(runner.generate(order_of("a", file))[-1], Done)
        *_, last = (EVENT.validate_json(line) for line in lines)
        assert (last.code, last.message) == ("cancelled", "the job was cancelled")


def test_concurrent_requests_all_succeed(runner, file):
    with ThreadPoolExecutor(2) as workers:
        run_requests = [order_of(f"job-{number}", file, seed=number) for number in range(6)]
        assert all(isinstance(events[-1], Done) for events in workers.map(runner.generate, run_requests))


def test_sigterm_ends_all_streams_and_exits_cleanly(tiny_checkpoint, file):
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


def test_the_runner_does_not_start_without_a_token(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "RUNNER_TOKEN"}
    command = [sys.executable, "-m", "gpu_runner", "--models-root", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "RUNNER_TOKEN" in ended.stderr
