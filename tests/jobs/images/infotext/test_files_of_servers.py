"""Infotext fields of files that only a ComfyUI server has: they have no hash, so none is written."""

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.passes import LoraUse
from jobs.images.infotext import model_fields, workflow_fields
from jobs.images.infotext.controlnet_fields import control_parameters
from jobs.models import Job
from models_registry.models import ModelFile, WorkflowTemplate
from tests.support.comfyui_templates import FLUX_SLOTS, flux

REQUEST = GenerationRequest(vae="sepia", loras=(LoraUse(name="night"), LoraUse(name="day")))
FILES = {
    "vae:sepia": {"path": "vae/sepia.safetensors", "sha256": ""},
    "lora:night": {"path": "loras/night.safetensors", "sha256": ""},
    "lora:day": {"path": "loras/day.safetensors", "sha256": "ab" * 32},
}


def test_files_without_a_hash_are_named_without_one():
    assert model_fields.vae_pairs(REQUEST, FILES) == {"VAE hash": None, "VAE": "sepia.safetensors"}
    assert model_fields.pairs(REQUEST, FILES) == {"Lora hashes": "day: abababababab"}


def test_controlnet_without_a_hash_has_no_empty_brackets():
    unit = ControlUnit(model="lineart", module="canny")
    job = Job(files={"controlnet:lineart": {"path": "controlnet/lineart.pth", "sha256": ""}})
    written = str(control_parameters(job, GenerationRequest(controls=(unit,)))["ControlNet 0"])
    assert "Model: lineart, " in written
    file = ModelFile(path="controlnet/lineart.pth")
    assert file.control_title == "lineart", "as the list of ControlNets and its clients name it"


def test_files_that_the_template_names_are_told_and_values_that_it_ignores_are_not():
    template = WorkflowTemplate(name="flux", graph=flux(), slots=FLUX_SLOTS)
    fields = workflow_fields.pairs(template, GenerationRequest())
    assert (fields["Model"], fields["Workflow"]) == ("flux1-dev", "flux")
    assert fields["Workflow files"] == "clip_l.safetensors, t5xxl.safetensors, sepia.safetensors"
    assert {name for name, value in fields.items() if value is None} == {
        *("Steps", "Sampler", "Schedule type", "CFG scale", "Clip skip", "Denoising strength")
    }


def test_plain_job_has_no_such_fields():
    assert workflow_fields.pairs(None, GenerationRequest()) == {}
