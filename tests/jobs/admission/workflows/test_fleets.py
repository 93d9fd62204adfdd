"""Mixed fleets of ComfyUI servers: templates go to servers that have what they need, and failing servers back off."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from dialects.native.response.schemas import job_detail
from gpu_runner.protocol import GenerationRequest, ServerCredentials
from jobs.admission.admit import admit
from jobs.admission.quote import quote
from jobs.admission.submission import Submission
from jobs.errors import Unsupported
from jobs.execution import back_off
from jobs.execution.runner_monitor import RunnerWatch
from jobs.models import Backend, Job, Runner, State, TemplateBackOff
from jobs.models.runner import ServerScheme
from jobs.models.storage_target import StorageTarget
from jobs.scheduling import policy, queue_snapshot
from jobs.scheduling.dispatcher import claim_next
from jobs.tasks import run_job
from models_registry.models import Kind, WorkflowTemplate
from tests.support.comfyui_double import Double
from tests.support.comfyui_jobs import Adapter
from tests.support.comfyui_templates import FLUX_SLOTS, flux
from tests.support.fake_runner import TOKEN
from tests.support.template_exports import node

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
WITH, WITHOUT = "comfyui-1", "comfyui-2"


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Adapter]]:
    """Two servers of which only the first has the weights of FLUX. No server has a checkpoint."""
    doubles = {WITH: Double(), WITHOUT: Double()}
    for double in doubles.values():
        double.files["checkpoints"] = []
    doubles[WITHOUT].files["diffusion_models"] = []
    adapters = {name: Adapter(double) for name, double in doubles.items()}
    yield adapters
    for adapter in adapters.values():
        adapter.close()
        adapter.double.close()


def look_at(name: str) -> None:
    """Read status and inventory of a runner; on slow machines it counts as seen for an hour."""
    RunnerWatch(name).look()
    Runner.objects.filter(name=name).update(seen_at=timezone.now() + timedelta(hours=1))


@pytest.fixture
def fleet(servers, settings, db) -> Iterator[dict[str, Runner]]:
    settings.RUNNER_TOKEN = TOKEN
    for name, adapter in servers.items():
        adapter.double.fails_with = None
        adapter.double.clear_cache()
        Runner.objects.create(name=name, url=adapter.url)
        look_at(name)
    return {runner.name: runner for runner in Runner.objects.all()}


@pytest.fixture
def template(db) -> WorkflowTemplate:
    WorkflowTemplate.objects.filter(purpose="txt2img").update(purpose="")
    return WorkflowTemplate.objects.create(name="flux", graph=flux(), slots=FLUX_SLOTS, purpose="txt2img")


@pytest.fixture
def flux_request(key, template) -> Callable:
    def flux_request(**fields) -> Submission:
        request = GenerationRequest(prompt="a red circle", width=64, height=64, **fields)
        return Submission(
            source=key.source,
            key=key,
            dialect="native",
            operation="txt2img",
            request=request,
            received={},
            backend=Backend.COMFYUI,
        )

    return flux_request


def run_all(name: str) -> None:
    for lease in claim_next(name, 8):
        run_job(str(lease.job_id), lease.attempt)


def states() -> list[str]:
    return list(Job.objects.order_by("created_at").values_list("state", flat=True))


def test_template_without_a_checkpoint_is_quoted_admitted_and_drawn(fleet, flux_request):
    assert quote(flux_request()).is_accepted
    job = admit(flux_request())
    assert job.request["checkpoint"] == "", "the template has no place for one"
    assert (job.checkpoint.kind, job.checkpoint.name) == (Kind.DIFFUSION_MODEL, "flux1-dev")
    run_all(WITH)
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED, job.error_message
    text = job.image_outputs.get().infotext
    assert "Model: flux1-dev, " in text
    assert "Workflow: flux" in text
    assert "t5xxl.safetensors" in text
    assert "Steps:" not in text, "the template has its own"


def test_images_of_a_batch_and_of_further_nodes_are_stored_with_the_job(fleet, flux_request, template):
    template.graph = flux(node_27={"batch_size": 2}) | {
        "12": node("SaveImage", images=["8", 0], filename_prefix="")
    }
    template.slots = FLUX_SLOTS | {"extras": "12.filename_prefix"}
    template.save()
    target = StorageTarget.objects.create(channel="1202")
    job = admit(replace(flux_request(seed=77), storage_target=target))
    run_all(WITH)
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED, job.error_message
    assert [output.index for output in job.image_outputs] == [0, 1]
    for output in (*job.image_outputs, *job.extra_outputs):
        with target.files.open(output.target_name) as copied:
            assert hashlib.sha256(copied.read()).hexdigest() == output.sha256
    assert all("Seed: 77," in output.infotext for output in job.image_outputs), "a batch has one seed"
    assert (job.images_done, job.cost) == (1, job.cost_estimate), "the batch is what was asked for"
    detail = job_detail(job)
    assert [extra.url for extra in detail.extras] == [f"/api/v1/jobs/{job.pk}/extras/{n}" for n in (0, 1)]
    assert len(detail.outputs) == 2


def test_checkpoint_that_the_template_has_no_place_for_is_refused_by_quote_and_admission(fleet, flux_request):
    asked = flux_request(checkpoint="shapes")
    assert [refused.field for refused in quote(asked).refusals] == ["checkpoint"]
    with pytest.raises(Unsupported) as refused:
        admit(asked)
    assert refused.value.field == "checkpoint"


def test_slot_of_a_diffusion_model_is_filled_with_the_one_that_is_asked_for(fleet, flux_request, template):
    template.slots = FLUX_SLOTS | {"checkpoint": "4.unet_name"}
    template.save()
    job = admit(flux_request(checkpoint="flux1-dev"))
    assert job.checkpoint.path == "diffusion_models/flux1-dev.safetensors"
    run_all(WITH)
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED, job.error_message


def test_jobs_go_only_to_the_server_that_has_the_files_of_their_template(fleet, flux_request):
    for seed in range(6):
        admit(flux_request(seed=seed))
    for _round in range(3):
        run_all(WITHOUT)
        run_all(WITH)
    assert states() == [State.SUCCEEDED] * 6
    assert {job.runner.name for job in Job.objects.all()} == {WITH}
    job = Job.objects.first()
    assert queue_snapshot.explain(job, fleet[WITHOUT], 8).reason == policy.Reason.NO_RUNNER


def test_template_whose_file_no_server_has_is_refused_at_admission(fleet, flux_request, template):
    template.graph = flux(node_4={"unet_name": "flux2.safetensors"})
    template.save()
    with pytest.raises(Unsupported, match=r"flux2\.safetensors"):
        admit(flux_request())
    assert not quote(flux_request()).is_accepted


@pytest.fixture
def same_files(fleet, servers) -> Iterator[None]:
    """The second server has the files, too; whether it can load them is another matter."""
    double = servers[WITHOUT].double
    double.files["diffusion_models"] = ["flux1-dev.safetensors"]
    servers[WITHOUT].backend.poller.refresh()
    look_at(WITHOUT)
    fleet[WITHOUT].refresh_from_db()
    yield
    double.files["diffusion_models"] = []
    double.fails_with = None
    servers[WITHOUT].backend.poller.refresh()


BROKEN = {"exception_type": "RuntimeError", "exception_message": "broken"}


@pytest.mark.parametrize("node", ["UNETLoader", "VAEDecode"], ids=["does not load", "fails"])
def test_server_that_fails_fast_does_not_empty_the_queue(
    fleet, servers, same_files, flux_request, node, monkeypatch
):
    monkeypatch.setattr(back_off, "FIRST_S", 200.0)  # the test may run on a slow machine
    servers[WITHOUT].double.fails_with = {"node_type": node, "data": BROKEN}
    for seed in range(6):
        admit(flux_request(seed=seed))
    run_all(WITHOUT)
    assert states() == [State.QUEUED] * 6, "its two jobs went back to the queue"
    assert claim_next(WITHOUT, 8) == [], "it backs off"
    waiting = Job.objects.first()
    assert queue_snapshot.explain(waiting, fleet[WITHOUT], 8).reason == policy.Reason.RUNNER_BACKS_OFF
    for _round in range(3):
        run_all(WITH)
    assert states() == [State.SUCCEEDED] * 6


def test_server_that_could_not_load_a_file_is_asked_again_when_its_files_have_changed(
    fleet, servers, same_files, flux_request
):
    adapter = servers[WITHOUT]
    adapter.double.fails_with = {"node_type": "UNETLoader", "data": BROKEN}
    job = admit(flux_request())
    run_all(WITHOUT)
    TemplateBackOff.objects.update(until=timezone.now() - timedelta(seconds=1))
    assert claim_next(WITHOUT, 8) == [], "time alone does not mend a file"
    adapter.double.fails_with = None
    adapter.double.files["diffusion_models"] = ["flux1-dev.safetensors", "other.safetensors"]
    adapter.backend.poller.refresh()
    look_at(WITHOUT)
    run_all(WITHOUT)
    job.refresh_from_db()
    assert (job.state, job.runner.name) == (State.SUCCEEDED, WITHOUT)
    assert not TemplateBackOff.objects.exists(), "the success ends the back-off"


def test_last_server_that_refuses_fails_the_job_and_later_ones_are_refused_by_reason(
    fleet, servers, flux_request
):
    Runner.objects.filter(name=WITHOUT).delete()
    servers[WITH].double.fails_with = {"node_type": "UNETLoader", "data": BROKEN}
    job = admit(flux_request())
    run_all(WITH)
    job.refresh_from_db()
    assert (job.state, job.error_code) == (State.FAILED, "model_unavailable")
    with pytest.raises(Unsupported, match="UNETLoader"):
        admit(flux_request())


def test_draining_server_finishes_and_takes_nothing_new(fleet, flux_request):
    admit(flux_request())
    Runner.objects.filter(name=WITH).update(draining=True)
    assert claim_next(WITH, 8) == []
    Runner.objects.filter(name=WITH).update(draining=False)
    run_all(WITH)
    assert states() == [State.SUCCEEDED]


def test_credentials_of_a_server_are_encrypted_and_reach_its_adapter(fleet, servers, flux_request):
    adapter = servers[WITH]
    adapter.double.required_headers = {"x-api-key": "s3cret"}
    try:
        adapter.backend.poller.refresh()
        look_at(WITH)
        runner = Runner.objects.get(name=WITH)
        assert "refused the credentials" in runner.problem
        runner.server_scheme, runner.server_secret = ServerScheme.API_KEY, "s3cret"
        runner.save()
        with connection.cursor() as cursor:
            cursor.execute("SELECT server_secret FROM jobs_runner WHERE id = %s", [runner.pk])
            assert "s3cret" not in cursor.fetchone()[0]
        look_at(WITH)
        adapter.backend.poller.refresh()
        look_at(WITH)
        job = admit(flux_request())
        run_all(WITH)
        job.refresh_from_db()
        assert job.state == State.SUCCEEDED, job.error_message
    finally:
        adapter.double.required_headers = {}
        adapter.backend.use(ServerCredentials())


def test_price_of_a_job_is_its_quote_and_a_cached_image_pays_what_the_template_says(
    fleet, flux_request, template
):
    WorkflowTemplate.objects.filter(pk=template.pk).update(cached_share=0.25)
    expected = quote(flux_request(seed=5)).cost
    costs = []
    for _job in range(2):
        job = admit(flux_request(seed=5))
        run_all(WITH)
        job.refresh_from_db()
        costs.append(job.cost)
    assert costs == [expected, expected / 4]
    assert expected == Decimal("0.032768"), "8 steps of the graph"
