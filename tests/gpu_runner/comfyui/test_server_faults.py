"""Faults of the server: restarts, dropped sockets, lost responses, and other clients."""

import threading

import pytest

from gpu_runner.comfyui.backend import ComfyBackend
from gpu_runner.protocol import Done, Failed
from tests.support.event_listener import Listener

pytestmark = pytest.mark.slow


@pytest.fixture
def at_step_two(double):
    """Call a function once, before the second step of a sampler."""

    def at_step_two(call):
        called = []

        def at_step(prompt, step):
            if step == 2 and not called:
                called.append(prompt)
                call(prompt)

        double.at_step = at_step
        return called

    return at_step_two


def test_a_cancel_ends_its_own_prompt_only(backend, make_request, double, at_step_two):
    started, cancelled = threading.Event(), threading.Event()

    def hold(prompt):
        started.set()
        cancelled.wait(60)

    at_step_two(hold)
    listener, other = Listener(), Listener()
    backend.submit(make_request("cancelled"), listener)
    started.wait(60)
    backend.submit(make_request("other", seed=3), other)
    assert backend.cancel("cancelled", "discard")
    interrupt = double.interrupts.append
    double.interrupts = _SignallingList(cancelled, interrupt)
    failed = listener.end()
    assert isinstance(failed, Failed)
    assert failed.code == "cancelled"
    assert isinstance(other.end(), Done)
    assert set(double.interrupts) == {double.posted[0]["prompt_id"]}


class _SignallingList(list):
    def __init__(self, cancelled, _append):
        super().__init__()
        self._event = cancelled

    def append(self, wanted):
        super().append(wanted)
        self._event.set()


def test_an_interrupt_keeps_finished_images(backend, make_request, double):
    listener = Listener()

    def at_step(prompt, step):
        if len(double.posted) == 2 and step == 2:
            backend.cancel("job-1", "interrupt")
            double.interrupted = True

    double.at_step = at_step
    backend.submit(make_request(num_images=3), listener)
    assert isinstance(listener.end(), Done)
    assert [image.index for image in listener.images] == [0]


def test_a_skip_continues_with_the_next_image(backend, make_request, double):
    listener = Listener()

    def at_step(prompt, step):
        if len(double.posted) == 1 and step == 2:
            backend.cancel("job-1", "skip")
            double.interrupted = True

    double.at_step = at_step
    backend.submit(make_request(num_images=2), listener)
    assert isinstance(listener.end(), Done)
    assert [image.index for image in listener.images] == [1]


def test_a_restart_of_the_server_loses_the_job(generate, make_request, double, at_step_two):
    at_step_two(lambda prompt: double.restart())
    assert generate(make_request()).events[-1].code == "lost"


def test_an_image_saved_before_a_restart_is_used(generate, make_request, double):
    known = double.save_output

    def save_and_die(graph, node):
        place = known(graph, node)
        double.restart()
        return place

    double.save_output = save_and_die
    listener = generate(make_request())
    assert isinstance(listener.events[-1], Done)
    assert len(listener.images) == 1


def test_dropped_sockets_do_not_lose_images(generate, make_request, double, at_step_two):
    at_step_two(lambda prompt: double.drop_sockets())
    listener = generate(make_request())
    assert isinstance(listener.events[-1], Done)
    assert len(listener.images) == 1


def test_a_silent_socket_does_not_lose_images(generate, make_request, double):
    double.mute = True
    assert len(generate(make_request()).images) == 1


def test_an_interrupt_by_another_client_loses_the_job(generate, make_request, double, at_step_two):
    at_step_two(lambda prompt: setattr(double, "interrupted", True))
    assert generate(make_request()).events[-1].code == "lost"


def test_a_server_that_stops_responding_loses_the_job(generate, make_request, double, at_step_two):
    at_step_two(lambda prompt: threading.Thread(target=double.close, daemon=True).start())
    assert generate(make_request()).events[-1].code == "lost"


def test_an_unreachable_server_is_busy(make_request):
    backend = ComfyBackend("http://127.0.0.1:9", "a token", timeout_s=0.5)
    assert backend.report().problem
    backend.start()
    listener = Listener()
    backend.submit(make_request(), listener)
    failed = listener.end()
    assert failed.code == "busy"
    backend.stop()


def test_leftover_prompts_of_a_killed_adapter_are_removed(backend, make_request, double, at_step_two):
    started = threading.Event()
    at_step_two(lambda prompt: started.wait(60))
    backend.client.queue(
        _graph(make_request), "00000000-0000-4000-8000-000000000000", f"{backend.name}-of-before"
    )
    backend.client.queue(_graph(make_request), "00000000-0000-4000-8000-000000000001", "another client")
    backend.remove_leftover_prompts()
    started.set()
    assert set(double.interrupts) <= {"00000000-0000-4000-8000-000000000000"}
    assert {item[1] for item in double.pending} <= {"00000000-0000-4000-8000-000000000001"}


def _graph(make_request):
    workflow = make_request().workflow
    graph = {key: node.model_dump() for key, node in workflow.graph.items()}
    graph["checkpoint"]["inputs"]["ckpt_name"] = "shapes.safetensors"
    return graph
