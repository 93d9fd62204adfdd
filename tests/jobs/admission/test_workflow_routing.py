"""Jobs on a ComfyUI server: who gets them, what is refused, and what becomes of them when it misbehaves."""

from collections.abc import Iterator

import pytest

from jobs.admission.admit import admit
from jobs.errors import UnknownModel, Unsupported
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
from tests.support.fake_runner import TOKEN

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
NAME = "comfyui-1"


@pytest.fixture
def adapter(settings) -> Iterator[Adapter]:
    settings.RUNNER_TOKEN = TOKEN
    double = Double()
    made = Adapter(double)
    yield made
    made.close()
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
def asked(submission):
    def asked(**fields):
        return submission(**({"backend": Backend.COMFYUI, "num_inference_steps": 3} | fields))

    return asked


def run(job) -> None:
    (lease,) = claim_next(NAME, 8)
    assert lease.job_id == job.pk
    run_job(str(lease.job_id), lease.attempt)
    job.refresh_from_db()


def test_a_comfyui_server_is_a_runner_like_others(comfyui, double):
    assert (comfyui.backend, comfyui.slots, comfyui.problem) == ("comfyui", 2, "")
    assert comfyui.version == "ComfyUI 0.3.64"
    assert "KSampler" in comfyui.nodes


def test_its_models_are_in_the_registry_as_its_own(checkpoint, comfyui, source):
    names = set(comfyui.own_files.values_list("kind", "name"))
    assert {("checkpoint", "shapes"), ("checkpoint", "other"), ("lora", "night")} <= names
    assert comfyui.own_files.get(name="shapes").pk == checkpoint.pk, "the file on disk is the same"
    other = resolve(Kind.CHECKPOINT, "other.safetensors", source, on_runners=True)
    assert other.missing_since, "it is not in MODELS_ROOT"


def test_a_job_is_drawn_stored_and_paid_for(comfyui, asked, postings, double):
    job = admit(asked(num_images=2))
    assert job.workflow.name == "txt2img"
    run(job)
    assert job.state == State.SUCCEEDED, job.error_message
    assert job.pictures.count() == 2
    assert job.cost == job.cost_estimate
    assert postings(job) == ["reserve", "release", "settle"]


def test_a_job_for_comfyui_goes_to_no_pipeline_and_the_other_way_round(comfyui, asked, submission, runner):
    job, plain = admit(asked()), admit(submission())
    assert [lease.job_id for lease in claim_next(runner.name, 8)] == [plain.pk]
    assert lifecycle.claim(job.pk, runner) is None
    assert [lease.job_id for lease in claim_next(NAME, 8)] == [job.pk]


def test_a_server_without_the_jobs_files_does_not_get_it(comfyui, asked, double, adapter, source):
    ModelFile.objects.create(kind=Kind.LORA, name="elsewhere", path="loras/elsewhere.safetensors")
    other = Runner.objects.create(name="comfyui-2", url="http://127.0.0.1:9", backend=Backend.COMFYUI)
    other.own_files.set(ModelFile.objects.all())
    job = admit(asked(loras=[{"name": "elsewhere"}]))
    assert claim_next(NAME, 8) == []
    assert queue_snapshot.explain(job, comfyui, 8).reason == policy.Reason.NO_RUNNER


# Refused -------------------------------------------------------------------------------------------------------------


def test_what_the_workflow_cannot_express_is_refused_by_its_name(comfyui, asked):
    with pytest.raises(Unsupported) as refused:
        admit(asked(s_churn=2.0))
    assert refused.value.field == "s_churn"


def test_a_model_that_no_comfyui_has_is_refused(comfyui, asked, checkpoint):
    ModelFile.objects.create(kind=Kind.LORA, name="only-here", path="loras/only-here.safetensors")
    with pytest.raises(UnknownModel):
        admit(asked(loras=[{"name": "only-here"}]))


def test_without_a_comfyui_nothing_is_taken_for_one(checkpoint, workflow_templates, asked):
    with pytest.raises(Unsupported, match="No ComfyUI runner"):
        admit(asked())


def test_a_workflow_whose_node_no_server_has_is_refused(comfyui, asked):
    template = WorkflowTemplate.objects.get(name="txt2img")
    template.graph["decode"]["class_type"] = "NoSuchDecoder"
    template.save()
    with pytest.raises(Unsupported, match="NoSuchDecoder"):
        admit(asked())


def test_a_source_whose_pictures_are_checked_cannot_draw_there(comfyui, asked, source):
    source.nsfw_policy = "blank"
    source.save()
    ModelFile.objects.create(kind=Kind.NSFW, name="detector", path="nsfw/detector.onnx")
    with pytest.raises(Unsupported) as refused:
        admit(asked())
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
def test_a_rule_sends_requests_to_its_template(comfyui, submission, own_template, rule, fields):
    WorkflowRule.objects.create(template=own_template, **rule)
    job = admit(submission(**fields))
    assert (job.backend, job.workflow) == (Backend.COMFYUI, own_template)


def test_the_rule_that_says_most_wins(comfyui, submission, own_template):
    general = WorkflowTemplate.objects.create(
        name="general", graph=own_template.graph, slots=own_template.slots
    )
    WorkflowRule.objects.create(template=general, dialect="a1111", operation="txt2img")
    WorkflowRule.objects.create(template=own_template, style="pastel")
    assert admit(submission(styles=("pastel",))).workflow == own_template
    assert admit(submission()).workflow == general


def test_no_rule_leaves_requests_where_they_were(comfyui, submission, own_template):
    WorkflowRule.objects.create(template=own_template, style="pastel")
    assert admit(submission(styles=("night",))).backend == Backend.PIPELINE


# Misbehaviours -------------------------------------------------------------------------------------------------------


def test_a_restarted_server_gives_the_job_back_once(comfyui, asked, double, postings):
    job = admit(asked())
    double.at_step = lambda prompt, step: double.restart() if step == 2 else None
    run(job)
    assert (job.state, job.runner_deaths) == (State.QUEUED, 1)
    double.at_step = lambda prompt, step: None
    run(job)
    assert job.state == State.SUCCEEDED, job.error_message
    assert postings(job) == ["reserve", "release", "settle"]
    assert double.drawn == 1


def test_a_server_that_loses_it_twice_ends_it(comfyui, asked, double, postings):
    job = admit(asked())
    double.at_step = lambda prompt, step: double.restart() if step == 2 else None
    run(job)
    run(job)
    assert (job.state, job.error_code) == (State.FAILED, "poisoned")
    assert postings(job) == ["reserve", "release"]


def test_a_silent_server_takes_no_work_and_tells_ops(comfyui, adapter, double):
    double.close()
    adapter.backend.poller.refresh()
    RunnerWatch(NAME).look()
    comfyui.refresh_from_db()
    assert comfyui.problem.startswith("ComfyUI does not respond")
