"""A server that restarts, drops its sockets, loses answers, and is somebody else's as well."""

import threading

import pytest

from gpu_runner.comfyui.backend import ComfyBackend
from gpu_runner.protocol import Done, Failed
from tests.support.event_listener import Listener


@pytest.fixture
def at_step_two(double):
    """Calls once, before the second step of a sampler."""

    def at_step_two(call):
        called = []

        def at_step(prompt, step):
            if step == 2 and not called:
                called.append(prompt)
                call(prompt)

        double.at_step = at_step
        return called

    return at_step_two


def test_a_cancel_ends_only_our_own_prompt(backend, order, double, at_step_two):
    held, told = threading.Event(), threading.Event()

    def hold(prompt):
        held.set()
        told.wait(60)

    at_step_two(hold)
    ear, other = Listener(), Listener()
    backend.submit(order("cancelled"), ear)
    held.wait(60)
    backend.submit(order("other", seed=3), other)
    assert backend.cancel("cancelled", "discard")
    interrupt = double.interrupts.append
    double.interrupts = _Telling(told, interrupt)
    failed = ear.end()
    assert isinstance(failed, Failed)
    assert failed.code == "cancelled"
    assert isinstance(other.end(), Done)
    assert set(double.interrupts) == {double.posted[0]["prompt_id"]}


class _Telling(list):
    def __init__(self, told, _append):
        super().__init__()
        self._told = told

    def append(self, wanted):
        super().append(wanted)
        self._told.set()


def test_an_interrupt_keeps_the_pictures_that_are_finished(backend, order, double):
    ear = Listener()

    def at_step(prompt, step):
        if len(double.posted) == 2 and step == 2:
            backend.cancel("job-1", "interrupt")
            double.interrupted = True

    double.at_step = at_step
    backend.submit(order(num_images=3), ear)
    assert isinstance(ear.end(), Done)
    assert [image.index for image in ear.images] == [0]


def test_a_skip_goes_on_with_the_next_picture(backend, order, double):
    ear = Listener()

    def at_step(prompt, step):
        if len(double.posted) == 1 and step == 2:
            backend.cancel("job-1", "skip")
            double.interrupted = True

    double.at_step = at_step
    backend.submit(order(num_images=2), ear)
    assert isinstance(ear.end(), Done)
    assert [image.index for image in ear.images] == [1]


def test_a_restarted_server_has_lost_the_job(draw, order, double, at_step_two):
    at_step_two(lambda prompt: double.restart())
    assert draw(order()).events[-1].code == "lost"


def test_a_picture_that_was_saved_before_the_restart_is_taken(draw, order, double):
    known = double._save

    def save_and_die(graph, node):
        place = known(graph, node)
        double.restart()
        return place

    double._save = save_and_die
    ear = draw(order())
    assert isinstance(ear.events[-1], Done)
    assert len(ear.images) == 1


def test_dropped_sockets_lose_no_picture(draw, order, double, at_step_two):
    at_step_two(lambda prompt: double.drop_sockets())
    ear = draw(order())
    assert isinstance(ear.events[-1], Done)
    assert len(ear.images) == 1


def test_a_mute_socket_loses_no_picture(draw, order, double):
    double.mute = True
    assert len(draw(order()).images) == 1


def test_an_interrupt_by_somebody_else_gives_the_job_back(draw, order, double, at_step_two):
    at_step_two(lambda prompt: setattr(double, "interrupted", True))
    assert draw(order()).events[-1].code == "lost"


def test_a_server_that_goes_silent_in_mid_prompt_gives_the_job_back(draw, order, double, at_step_two):
    at_step_two(lambda prompt: threading.Thread(target=double.close, daemon=True).start())
    assert draw(order()).events[-1].code == "lost"


def test_a_server_that_was_never_there_is_busy(order):
    backend = ComfyBackend("http://127.0.0.1:9", "a token", patience_s=0.5)
    assert backend.report().problem
    backend.start()
    ear = Listener()
    backend.submit(order(), ear)
    failed = ear.end()
    assert failed.code == "busy"
    backend.stop()


def test_prompts_that_a_killed_adapter_left_behind_are_removed(backend, order, double, at_step_two):
    held = threading.Event()
    at_step_two(lambda prompt: held.wait(60))
    backend.client.queue(_graph(order), "00000000-0000-4000-8000-000000000000", f"{backend.name}-of-before")
    backend.client.queue(_graph(order), "00000000-0000-4000-8000-000000000001", "somebody else")
    backend.remove_what_was_left()
    held.set()
    assert set(double.interrupts) <= {"00000000-0000-4000-8000-000000000000"}
    assert {item[1] for item in double.pending} <= {"00000000-0000-4000-8000-000000000001"}


def _graph(order):
    workflow = order().workflow
    graph = {key: node.model_dump() for key, node in workflow.graph.items()}
    graph["checkpoint"]["inputs"]["ckpt_name"] = "shapes.safetensors"
    return graph
