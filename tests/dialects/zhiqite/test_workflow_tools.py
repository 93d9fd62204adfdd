"""The page for Flux: executed by the workflow template that a rule names, else refused by name."""

from collections.abc import Iterator

import pytest

from jobs.execution.runner_monitor import RunnerWatch
from jobs.models import Backend, Runner, State
from jobs.scheduling.dispatcher import claim_next
from jobs.tasks import run_job
from models_registry.models import WorkflowRule, WorkflowTemplate
from tests.support.comfyui_double import Double
from tests.support.comfyui_jobs import Adapter
from tests.support.fake_runner import TOKEN

pytestmark = pytest.mark.slow

PATH = "tool/comfyui/text2image"
RUNNER = "comfyui-1"
BODY = {"businessTaskId": "t", "comfyTaskType": "Flux1DevFP8", "prompt": "a red circle"}


@pytest.fixture
def double(settings) -> Iterator[Double]:
    settings.RUNNER_TOKEN = TOKEN
    double = Double()
    yield double
    double.close()


@pytest.fixture
def comfyui(double, checkpoint) -> Iterator[Runner]:
    adapter = Adapter(double)
    Runner.objects.create(name=RUNNER, url=adapter.url)
    RunnerWatch(RUNNER).look()
    yield Runner.objects.get(name=RUNNER)
    adapter.close()


@pytest.fixture
def template(workflow_templates) -> WorkflowTemplate:
    general = WorkflowTemplate.objects.get(name="txt2img")
    return WorkflowTemplate.objects.create(name="flux", graph=general.graph, slots=general.slots)


def test_task_is_drawn_by_the_workflow_of_its_type(alice, comfyui, double, template):
    WorkflowRule.objects.create(template=template, dialect="zhiqite", style="Flux1DevFP8")
    sizes = {"width": 128, "height": 64, "steps": 3, "seed": 5}
    job = alice.submit(PATH, BODY | sizes)
    assert (job.backend, job.workflow, job.operation) == (Backend.COMFYUI, template, PATH)
    (lease,) = claim_next(RUNNER, 8)
    run_job(str(lease.job_id), lease.attempt)
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED, job.error_message
    (prompt,) = double.posted
    sampler = prompt["prompt"]["sampler"]["inputs"]
    assert (sampler["steps"], sampler["seed"], sampler["cfg"]) == (3, 5, 3.5)
    size = prompt["prompt"]["latent"]["inputs"]
    assert (size["width"], size["height"]) == (128, 64)
    task = alice.task("t", f"{PATH}/queryTask")
    assert (task["status"], task["businessTaskId"]) == (2, "t")
    assert task["outputImageUrl"].endswith(".png")


def test_rule_may_name_the_operation(alice, comfyui, template):
    WorkflowRule.objects.create(template=template, operation=PATH)
    job = alice.submit(PATH, BODY | {"comfyTaskType": "Flux1SchnellFP8", "fluxGuidance": "2.5"})
    assert job.workflow == template
    assert job.generation_request.guidance_scale == 2.5


def test_task_without_a_workflow_is_refused_by_name(alice, comfyui, template):
    WorkflowRule.objects.create(template=template, style="Flux1SchnellFP8")
    message = alice.refused(PATH, BODY)
    assert message.startswith("comfyTaskType: no workflow template is assigned to Flux1DevFP8")
    assert PATH in message


def test_value_that_the_workflow_has_no_slot_for_is_refused(alice, comfyui, template):
    for slot in ("guidance_scale", "seed"):
        template.slots.pop(slot)
    template.save()
    WorkflowRule.objects.create(template=template, style="Flux1DevFP8")
    assert alice.refused(PATH, BODY | {"fluxGuidance": 7}).startswith(
        "fluxGuidance: the workflow of Flux1DevFP8"
    )
    assert alice.refused(PATH, BODY | {"seed": 1}).startswith("seed: ")
    alice.submit(PATH, BODY)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": ""}, "prompt: Field required"),
        ({"comfyTaskType": None}, "comfyTaskType: Field required"),
        ({"width": 100}, "width: "),
        ({"fluxGuidance": -1}, "fluxGuidance: "),
        ({"steps": 501}, "steps: "),
        ({"steps": 151}, "steps must be at most"),
    ],
)
def test_invalid_field_is_refused_with_its_name(alice, comfyui, template, fields, message):
    WorkflowRule.objects.create(template=template, style="Flux1DevFP8")
    assert message in alice.refused(PATH, BODY | fields)


def test_task_without_a_runner_is_refused(alice, template):
    WorkflowRule.objects.create(template=template, style="Flux1DevFP8")
    assert alice.refused(PATH, BODY)
