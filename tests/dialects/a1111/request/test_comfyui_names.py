"""A1111 clients whose requests a rule sends to ComfyUI: they see and name the files that only the servers have."""

import base64

import pytest

from jobs.models import Backend, Job, Runner
from models_registry.models import Kind, ModelFile, WorkflowRule, WorkflowTemplate
from tests.dialects.a1111.conftest import solid_png
from tests.support.comfyui_rows import edit_template

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
FILES = {
    Kind.CHECKPOINT: "checkpoints/remote.safetensors",
    Kind.DIFFUSION_MODEL: "diffusion_models/flux1-dev.safetensors",
    Kind.LORA: "loras/night.safetensors",
    Kind.VAE: "vae/sepia.safetensors",
    Kind.UPSCALER: "upscalers/2x.safetensors",
    Kind.CONTROLNET: "controlnet/lineart.pth",
}


@pytest.fixture
def server(db, checkpoint, workflow_templates) -> Runner:
    """A ComfyUI runner with files that MODELS_ROOT does not have."""
    nodes = {node["class_type"] for one in WorkflowTemplate.objects.all() for node in one.graph.values()}
    runner = Runner.objects.create(
        name="comfyui-1", url="http://127.0.0.1:9", backend=Backend.COMFYUI, nodes=sorted(nodes)
    )
    for kind, path in FILES.items():
        name = path.rpartition("/")[2].rpartition(".")[0]
        file = ModelFile.objects.create(kind=kind, path=path, name=name, missing_since=checkpoint.created_at)
        runner.own_files.add(file)
    return runner


@pytest.fixture
def rule(server) -> WorkflowRule:
    template = WorkflowTemplate.objects.get(name="txt2img")
    return WorkflowRule.objects.create(template=template, dialect="a1111", purpose="txt2img")


def listed(alice) -> set[str]:
    names = {model["model_name"] for model in alice.get("sd-models").json()}
    names |= {lora["name"] for lora in alice.get("loras").json()}
    names |= {vae["model_name"] for vae in alice.get("sd-vae").json()}
    return names | {upscaler["name"] for upscaler in alice.get("upscalers").json()}


SERVERS_OWN = {"remote", "flux1-dev", "night", "sepia.safetensors", "2x"}


def test_files_of_servers_are_listed_for_clients_that_reach_them(alice, server, rule):
    assert listed(alice) >= SERVERS_OWN
    rule.delete()
    assert not listed(alice) & SERVERS_OWN


def test_rule_of_another_source_lists_nothing(alice, server, rule, other_source):
    rule.source = other_source
    rule.save()
    assert not listed(alice) & SERVERS_OWN


def test_names_of_servers_draw_with_the_servers_files(alice, server, rule):
    job = alice.submit(
        prompt="a red circle <lora:night:0.5>",
        sampler_name="Euler a",
        override_settings={"sd_model_checkpoint": "remote.safetensors"},
    )
    assert (job.backend, job.checkpoint.name) == (Backend.COMFYUI, "remote")
    assert job.files["lora:night"]["path"] == "loras/night.safetensors"
    assert job.received["warnings"] == []


def test_init_images_are_the_references_of_a_template_that_takes_several(alice, checkpoint):
    WorkflowRule.objects.create(template=edit_template(), dialect="a1111", purpose="img2img")
    images = [base64.b64encode(solid_png(32, 32, color)).decode() for color in ((255, 0, 0), (0, 0, 255))]
    job = alice.submit("img2img", init_images=images, batch_size=2, prompt="swap them")
    assert (job.request["num_images"], len(job.generation_request.images)) == (1, 2)
    assert job.received["warnings"] == []


def test_request_that_no_rule_sends_to_a_server_cannot_use_its_files(alice, server, rule):
    body = {"prompt": "a", "enable_hr": True, "hr_scale": 2, "width": 64, "height": 64}
    response = alice.post("txt2img", body | {"override_settings": {"sd_model_checkpoint": "remote"}})
    assert "error" in response.json(), "in A1111's own shape for a checkpoint that does not exist"
    assert not Job.objects.exists()
