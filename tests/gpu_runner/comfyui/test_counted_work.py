"""Steps are counted from whichever node samples, and a job tells what it drew and what came from the server's cache."""

import pytest

from gpu_runner.comfyui.step_counter import StepCounter
from gpu_runner.protocol import Done
from gpu_runner.protocol.workflows import slots
from gpu_runner.protocol.workflows.work import GraphWork, work_of
from tests.gpu_runner.comfyui.conftest import shipped_workflow
from tests.support.comfyui_templates import FLUX_SLOTS, flux

WITH_STEPS = FLUX_SLOTS | {"num_inference_steps": "17.steps"}


@pytest.fixture
def flux_job(generate, make_request):
    """Run a job of the FLUX template, whose steps belong to a scheduler and not to the sampler."""

    def flux_job(job_id="job-1", own_slots=WITH_STEPS, **fields):
        workflow = slots.read("flux", flux(), own_slots)
        plain = make_request(job_id, workflow=workflow, **({"width": 64, "height": 64} | fields))
        request = plain.request.model_copy(update={"checkpoint": ""})
        return generate(plain.model_copy(update={"checkpoint": None, "request": request}))

    return flux_job


def test_second_job_is_counted_although_the_node_with_its_steps_is_cached(flux_job):
    first, second = flux_job("a", num_inference_steps=5, seed=1), flux_job("b", num_inference_steps=5, seed=2)
    for listener in (first, second):
        done = listener.events[-1]
        assert isinstance(done, Done), done
        assert (done.steps_run, done.images_drawn, done.images_cached) == (5, 1, 0)


def test_progress_moves_with_a_sampler_whose_steps_are_set_elsewhere(flux_job):
    progress = flux_job(num_inference_steps=5).progress
    assert {event.step for event in progress} >= {1, 2, 3, 4}
    assert {event.steps for event in progress} == {5}


def test_template_without_a_slot_for_steps_counts_those_of_its_graph(flux_job):
    done = flux_job(own_slots=FLUX_SLOTS, num_inference_steps=20).events[-1]
    assert (done.steps_run, done.images_drawn) == (8, 1)


def test_image_from_the_cache_of_the_server_was_not_drawn(flux_job):
    flux_job("a", seed=1)
    done = flux_job("b", seed=1).events[-1]
    assert isinstance(done, Done), done
    assert (done.steps_run, done.images_drawn, done.images_cached) == (0, 0, 1)


def test_lost_progress_messages_do_not_change_the_count(flux_job, double):
    double.mute = True
    done = flux_job(num_inference_steps=5).events[-1]
    assert (done.steps_run, done.images_drawn) == (5, 1)


# Counter -------------------------------------------------------------------------------------------------------------

DETAILER = {"input": {"required": {"steps": ["INT"], "image": ["IMAGE"]}}, "output": ["IMAGE"]}
UPSCALER = {"input": {"required": {"image": ["IMAGE"]}}, "output": ["IMAGE"]}
SAVER = {"input": {"required": {"images": ["IMAGE"]}}, "output": [], "output_node": True}
NODES = {"Detailer": DETAILER, "Upscaler": UPSCALER, "Saver": SAVER}


def test_node_that_samples_several_times_counts_all_rounds():
    counter = StepCounter({"1": {"class_type": "Detailer", "inputs": {"steps": 2}}}, NODES)
    for value in (1, 2, 1, 2):
        assert counter.progress("1", value, 2)
    assert (counter.done, counter.total, counter.share) == (4, 4, 1.0)


def test_without_a_sampler_the_progress_of_any_node_counts_but_that_of_the_output():
    graph = {"1": {"class_type": "Upscaler", "inputs": {}}, "2": {"class_type": "Saver", "inputs": {}}}
    counter = StepCounter(graph, NODES)
    assert counter.progress("1", 3, 4)
    assert not counter.progress("2", 1, 1)
    assert (counter.done, counter.total) == (3, 4)
    assert counter.is_cached(frozenset({"1"}))
    assert not counter.is_cached(frozenset({"2"}))


@pytest.mark.parametrize("value", [None, "3", -1, float("nan")], ids=["none", "text", "negative", "nan"])
def test_progress_that_is_no_number_of_steps_is_ignored(value):
    counter = StepCounter({"1": {"class_type": "Detailer", "inputs": {"steps": 2}}}, NODES)
    counter.progress("1", value, 2)
    counter.progress("1", 1, value)
    assert counter.done == 0


def test_work_that_no_slot_fills_in_is_read_from_the_graph():
    own = slots.read("flux", flux(), {"prompt": "6.text", "filename_prefix": "9.filename_prefix"})
    assert work_of(own, own.slots) == GraphWork(8, 1024 * 1024)
    hires = shipped_workflow("hires")
    assert work_of(hires, hires.slots) == GraphWork(None, None)
    linked = flux(node_17={"steps": ["40", 0]})
    linked["40"] = {"class_type": "PrimitiveInt", "inputs": {"value": 12}}
    assert work_of(slots.read("linked", linked, FLUX_SLOTS), FLUX_SLOTS).steps == 12
