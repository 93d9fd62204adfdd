"""Jobs for ComfyUI: routing, refusals, and failures of the server."""

from collections.abc import Iterator

import pytest
from django.utils.translation import override

from console.jobs.page import timeline
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.passes import Hires
from gpu_runner.protocol.request_parts.values import InputImage
from jobs.admission.admit import admit
from jobs.admission.quote import quote
from jobs.admission.workflows.routing import routed
from jobs.errors import ModelNotAllowed, UnknownModel, Unsupported
from jobs.execution import lifecycle
from jobs.execution.runner_monitor import RunnerWatch
from jobs.models import Backend, Runner, State
from jobs.scheduling import policy, queue_snapshot
from jobs.scheduling.dispatcher import claim_next
from jobs.tasks import run_job
from models_registry.models import Kind, ModelFile, WorkflowRule, WorkflowTemplate
from models_registry.selectors import resolve
from tests.support.comfyui_double import Double
from tests.support.comfyui_jobs import Adapter
from tests.support.comfyui_rows import edit_template
from tests.support.comfyui_templates import FLUX_SLOTS, flux
from tests.support.fake_runner import TOKEN

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
NAME = "comfyui-1"
UNITS = (ControlUnit(model="lineart", image=InputImage(sha256="0" * 64)),)


@pytest.fixture
def adapter(settings) -> Iterator[Adapter]:
    settings.RUNNER_TOKEN = TOKEN
    double = Double()
    adapter = Adapter(double)
    yield adapter
    adapter.close()
    double.close()


@pytest.fixture
def double(adapter: Adapter) -> Double:
    return adapter.double


@pytest.fixture
def comfyui(adapter: Adapter, checkpoint: ModelFile, workflow_templates) -> Runner:
    Runner.objects.create(name=NAME, url=adapter.url)
    RunnerWatch(NAME).look()
    return Runner.objects.get(name=NAME)


@pytest.fixture
def comfyui_request(submission):
    def comfyui_request(**fields):
        return submission(**({"backend": Backend.COMFYUI, "num_inference_steps": 3} | fields))

    return comfyui_request


def run(job) -> None:
    (lease,) = claim_next(NAME, 8)
    assert lease.job_id == job.pk
    run_job(str(lease.job_id), lease.attempt)
    job.refresh_from_db()


def test_comfyui_server_is_registered_as_a_runner(comfyui, double):
    assert (comfyui.backend, comfyui.slots, comfyui.problem) == ("comfyui", 2, "")
    assert comfyui.version == "ComfyUI 0.3.64"
    assert "KSampler" in comfyui.nodes


def test_models_of_the_server_are_registered(checkpoint, comfyui, source):
    names = set(comfyui.own_files.values_list("kind", "name"))
    assert {("checkpoint", "shapes"), ("checkpoint", "other"), ("lora", "night")} <= names
    assert comfyui.own_files.get(name="shapes").pk == checkpoint.pk, "the file on disk is the same"
    other = resolve(Kind.CHECKPOINT, "other.safetensors", source, on_runners=True)
    assert other.missing_since, "it is not in MODELS_ROOT"


def test_job_is_executed_stored_and_billed(comfyui, comfyui_request, postings, double):
    job = admit(comfyui_request(num_images=2))
    assert job.workflow.name == "txt2img"
    run(job)
    assert job.state == State.SUCCEEDED, job.error_message
    assert job.image_outputs.count() == 2
    assert job.cost == job.cost_estimate
    assert postings(job) == ["reserve", "release", "settle"]


def test_jobs_are_claimed_only_by_runners_of_their_backend(comfyui, comfyui_request, submission, runner):
    job, plain = admit(comfyui_request()), admit(submission())
    assert [lease.job_id for lease in claim_next(runner.name, 8)] == [plain.pk]
    assert lifecycle.claim(job.pk, runner) is None
    assert [lease.job_id for lease in claim_next(NAME, 8)] == [job.pk]


def test_server_without_the_models_of_a_job_does_not_claim_it(
    comfyui, comfyui_request, double, adapter, source
):
    ModelFile.objects.create(kind=Kind.LORA, name="elsewhere", path="loras/elsewhere.safetensors")
    other = Runner.objects.create(name="comfyui-2", url="http://127.0.0.1:9", backend=Backend.COMFYUI)
    other.own_files.set(ModelFile.objects.all())
    job = admit(comfyui_request(loras=[{"name": "elsewhere"}]))
    assert claim_next(NAME, 8) == []
    assert queue_snapshot.explain(job, comfyui, 8).reason == policy.Reason.NO_RUNNER


# Refused -------------------------------------------------------------------------------------------------------------


def test_field_without_a_slot_in_the_workflow_is_refused(comfyui, comfyui_request):
    with pytest.raises(Unsupported) as refused:
        admit(comfyui_request(s_churn=2.0))
    assert refused.value.field == "s_churn"


def test_model_missing_on_all_servers_is_refused(comfyui, comfyui_request, checkpoint):
    ModelFile.objects.create(kind=Kind.LORA, name="only-here", path="loras/only-here.safetensors")
    with pytest.raises(UnknownModel):
        admit(comfyui_request(loras=[{"name": "only-here"}]))


def test_request_for_comfyui_without_a_server_is_refused(checkpoint, workflow_templates, comfyui_request):
    with pytest.raises(Unsupported, match="No ComfyUI runner"):
        admit(comfyui_request())


def test_workflow_with_an_unknown_node_is_refused(comfyui, comfyui_request):
    template = WorkflowTemplate.objects.get(name="txt2img")
    template.graph["decode"]["class_type"] = "NoSuchDecoder"
    template.save()
    with pytest.raises(Unsupported, match="NoSuchDecoder"):
        admit(comfyui_request())


def test_source_with_an_nsfw_policy_is_refused(comfyui, comfyui_request, source):
    source.nsfw_policy = "blank"
    source.save()
    ModelFile.objects.create(kind=Kind.NSFW, name="detector", path="nsfw/detector.onnx")
    with pytest.raises(Unsupported) as refused:
        admit(comfyui_request())
    assert refused.value.field == "nsfw"


# Rules ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_template(workflow_templates) -> WorkflowTemplate:
    graph = WorkflowTemplate.objects.get(name="txt2img")
    return WorkflowTemplate.objects.create(name="ours", graph=graph.graph, slots=graph.slots)


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ({"dialect": "a1111"}, {}),
        ({"dialect": "a1111", "operation": "txt2img"}, {}),
        ({"style": "pastel"}, {"styles": ("pastel",)}),
    ],
    ids=["dialect", "endpoint", "style"],
)
def test_rule_routes_requests_to_its_template(comfyui, submission, own_template, rule, fields):
    WorkflowRule.objects.create(template=own_template, **rule)
    job = admit(submission(**fields))
    assert (job.backend, job.workflow) == (Backend.COMFYUI, own_template)


def test_most_specific_rule_wins(comfyui, submission, own_template):
    general = WorkflowTemplate.objects.create(
        name="general", graph=own_template.graph, slots=own_template.slots
    )
    WorkflowRule.objects.create(template=general, dialect="a1111", operation="txt2img")
    WorkflowRule.objects.create(template=own_template, style="pastel")
    assert admit(submission(styles=("pastel",))).workflow == own_template
    assert admit(submission()).workflow == general


@pytest.mark.parametrize(
    ("rule", "matching", "other"),
    [
        ({"purpose": "hires"}, {"hires": Hires(width=128, height=128)}, {}),
        ({"purpose": "txt2img"}, {}, {"hires": Hires(width=128, height=128)}),
        ({"purpose": "controlnet"}, {"controls": UNITS}, {}),
        ({"model": "fast"}, {"checkpoint": "fast"}, {"checkpoint": "shapes"}),
    ],
    ids=["hires", "plain", "controlnet", "model"],
)
def test_rule_by_purpose_or_model_takes_only_such_requests(
    workflow_templates, submission, own_template, rule, matching, other
):
    WorkflowRule.objects.create(template=own_template, dialect="a1111", **rule)
    assert routed(submission(**matching)).workflow == own_template
    assert routed(submission(**other)).backend == Backend.PIPELINE


def test_rule_of_a_source_takes_requests_of_no_other_one(
    workflow_templates, submission, own_template, source, other_source
):
    WorkflowRule.objects.create(template=own_template, source=other_source)
    assert routed(submission()).backend == Backend.PIPELINE
    assert routed(submission(source=other_source)).workflow == own_template


def test_name_that_chose_the_template_is_not_asked_of_its_graph(workflow_templates, submission):
    template = WorkflowTemplate.objects.create(name="flux", graph=flux(), slots=FLUX_SLOTS)
    WorkflowRule.objects.create(template=template, model="flux-dev")
    assert routed(submission(checkpoint="flux-dev")).request.checkpoint == ""


@pytest.mark.parametrize(("policy", "ignored"), [("note", ("guidance_scale",)), ("ignore", ())])
def test_values_without_a_slot_are_ignored_as_the_template_says(
    comfyui, workflow_templates, submission, policy, ignored
):
    template = WorkflowTemplate.objects.create(
        name="flux", graph=flux(), slots=FLUX_SLOTS, without_slot=policy
    )
    WorkflowRule.objects.create(template=template)
    found = routed(submission(guidance_scale=4.0))
    assert (found.request.guidance_scale, found.ignored_fields) == (7.0, ignored)
    entry = timeline(admit(submission(guidance_scale=4.0)))[0]
    with override("zh-hans"):
        assert entry.note.count("guidance_scale") == len(ignored), "in the language of the person who looks"


def test_request_with_the_wrong_number_of_references_is_refused_by_name(workflow_templates, submission):
    template = edit_template()
    WorkflowRule.objects.create(template=template, purpose="edit")
    images = [InputImage(sha256=f"{number:064x}") for number in range(15)]
    with pytest.raises(Unsupported) as refused:
        admit(submission(images=images))
    assert refused.value.field == "images"
    assert "takes 2 images (got 15)" in refused.value.message
    template.enabled = False
    template.save()
    assert "images" in {one.field for one in quote(submission(images=images)).refusals}


def test_file_of_a_template_that_the_source_may_not_use_is_refused(comfyui, submission, other_source):
    template = WorkflowTemplate.objects.create(name="flux", graph=flux(), slots=FLUX_SLOTS)
    WorkflowRule.objects.create(template=template)
    assert admit(submission()).workflow == template
    file = ModelFile.objects.get(path="text_encoders/t5xxl.safetensors")
    file.allowed_sources.set([other_source])
    with pytest.raises(ModelNotAllowed, match="t5xxl"):
        admit(submission())


def test_request_without_a_matching_rule_uses_the_pipeline(comfyui, submission, own_template):
    WorkflowRule.objects.create(template=own_template, style="pastel")
    assert admit(submission(styles=("night",))).backend == Backend.PIPELINE


# Failures -------------------------------------------------------------------------------------------------------


def test_job_is_retried_after_a_server_restart(comfyui, comfyui_request, double, postings):
    job = admit(comfyui_request())
    double.at_step = lambda prompt, step: double.restart() if step == 2 else None
    run(job)
    assert (job.state, job.runner_deaths) == (State.QUEUED, 1)
    double.at_step = lambda prompt, step: None
    run(job)
    assert job.state == State.SUCCEEDED, job.error_message
    assert postings(job) == ["reserve", "release", "settle"]
    assert double.drawn == 1


def test_job_lost_by_two_restarts_fails(comfyui, comfyui_request, double, postings):
    job = admit(comfyui_request())
    double.at_step = lambda prompt, step: double.restart() if step == 2 else None
    run(job)
    run(job)
    assert (job.state, job.error_code) == (State.FAILED, "poisoned")
    assert postings(job) == ["reserve", "release"]


def test_unreachable_server_is_reported_as_a_problem(comfyui, adapter, double):
    double.close()
    adapter.backend.poller.refresh()
    RunnerWatch(NAME).look()
    comfyui.refresh_from_db()
    assert comfyui.problem.startswith("ComfyUI does not respond")
