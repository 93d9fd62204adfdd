"""Import of workflow templates in the console: from texts, files and images, until a trial job draws."""

import io
import json
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jobs.execution.runner_monitor import RunnerWatch
from jobs.models import Job, Runner, State
from jobs.scheduling.dispatcher import claim_next
from jobs.tasks import run_job
from models_registry.models import WorkflowTemplate
from tests.gpu_runner.protocol.workflows.test_imports import editor_file
from tests.support.comfyui_double import Double
from tests.support.comfyui_jobs import Adapter
from tests.support.comfyui_rows import edit_graph
from tests.support.comfyui_templates import FLUX
from tests.support.fake_runner import TOKEN
from tests.support.template_exports import SD15

pytestmark = pytest.mark.slow

LIST = "/admin/models_registry/workflowtemplate/"


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Adapter]]:
    doubles = [Double(), Double()]
    doubles[1].files["diffusion_models"] = []
    adapters = [Adapter(double) for double in doubles]
    yield adapters
    for adapter in adapters:
        adapter.close()
        adapter.double.close()


@pytest.fixture
def fleet(servers, settings, db) -> None:
    settings.RUNNER_TOKEN = TOKEN
    for number, adapter in enumerate(servers, 1):
        Runner.objects.create(name=f"comfy-{number}", url=adapter.url)
        RunnerWatch(f"comfy-{number}").look()
    Runner.objects.update(seen_at=timezone.now() + timedelta(hours=1))


def imported(ops, text="", file=None):
    form = {"name": "mine", "text": text} | ({"file": file} if file else {})
    return ops.post(f"{LIST}import/", form, follow=True)


def png(**texts: str) -> io.BytesIO:
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=info)
    file.seek(0)
    file.name = "drawn.png"
    return file


def test_pasted_export_is_drawn_checked_on_every_server_and_tried(ops, fleet):
    page = imported(ops, json.dumps({"prompt": FLUX})).content.decode()
    template = WorkflowTemplate.objects.get(name="mine")
    assert template.slots["prompt"] == "6.text"
    assert template.if_asked == sorted(template.if_asked)
    assert "guidance_scale" in template.if_asked
    assert 'data-node="13"' in page
    assert 'data-slot="guidance_scale"' in page
    assert "fits on comfy-1" in page
    assert "comfy-2 lacks flux1-dev.safetensors" in page

    ops.post(f"{LIST}{template.pk}/try/", {"prompt": "a red circle"})
    job = Job.objects.get(workflow=template)
    assert job.source.name == "console"
    (lease,) = claim_next("comfy-1", 1)
    run_job(str(lease.job_id), lease.attempt)
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED, job.error_message
    image = reverse("admin:jobs_job_image", args=[job.pk, 0])
    assert f'src="{image}"' in ops.get(f"{LIST}{template.pk}/change/").content.decode()


def test_trial_sends_an_image_for_each_that_the_template_takes(ops, fleet):
    graph = edit_graph(2) | {"4": FLUX["4"]}
    page = imported(ops, json.dumps(graph)).content.decode()
    assert "2 nodes load images" in page
    template = WorkflowTemplate.objects.get(name="mine")
    ops.post(f"{LIST}{template.pk}/try/", {"prompt": "swap them"})
    job = Job.objects.get(workflow=template)
    assert len(job.generation_request.images) == 2
    (lease,) = claim_next("comfy-1", 1)
    run_job(str(lease.job_id), lease.attempt)
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED, job.error_message


def test_editor_file_is_converted_with_the_nodes_of_a_server(ops, fleet):
    file = editor_file()
    file["nodes"] = [node for node in file["nodes"] if node["type"] != "LoraLoaderModelOnly"]
    file["links"][1] = [2, 4, 0, 3, 0, "MODEL"]
    imported(ops, json.dumps(file))
    graph = WorkflowTemplate.objects.get(name="mine").graph
    assert graph["3"]["inputs"] == SD15["3"]["inputs"]


def test_image_of_comfyui_carries_its_workflow(ops, db):
    imported(ops, file=png(prompt=json.dumps(SD15), workflow="{}"))
    assert WorkflowTemplate.objects.get(name="mine").slots["seed"] == "3.seed"


@pytest.mark.parametrize(
    ("text", "file", "reason"),
    [
        (json.dumps(editor_file()), None, r"Export \(API\)"),
        ("", png(parameters="Steps: 20"), "contains no workflow"),
        ("", io.BytesIO(b"\x89PNG\r\n\x1a\nbroken"), "cannot be decoded|not an image"),
        ("", io.BytesIO(b"\xff\xfe\x00"), "neither JSON"),
        ("{", None, "not JSON"),
        (json.dumps({"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}), None, "saves an image"),
        (json.dumps({"1": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": ""}}}), None, "does not exist"),
        (json.dumps({"1": {"class_type": ["x"], "inputs": 3}}), None, "saves an image"),
        ("", None, "Choose a file"),
    ],
    ids=["editor without server", "other png", "broken png", "binary", "json", "no output", "link", "types", "nothing"],
)  # fmt: skip
def test_file_that_cannot_be_imported_is_explained(ops, text, file, reason):
    if file is not None:
        file.seek(0)
        file.name = "file"
    page = imported(ops, text, file).context["form"]
    assert re.search(reason, str(page.errors))
    assert not WorkflowTemplate.objects.filter(name="mine").exists()


def test_tenant_can_neither_import_nor_try(sign_in, source, workflow_templates):
    client = sign_in("tenant", source)
    template = WorkflowTemplate.objects.get(name="txt2img")
    assert client.post(f"{LIST}import/", {"name": "mine", "text": json.dumps(SD15)}).status_code == 403
    assert client.post(f"{LIST}{template.pk}/try/").status_code == 403
