"""Templates as fleets use them: FLUX from separate loaders, dynamic inputs, and what such a template needs of a server."""

import pytest

from gpu_runner.protocol import Done, Failed
from gpu_runner.protocol.workflows import server_check, slots
from gpu_runner.protocol.workflows.requirements import FileUse, checkpoint_folder, requirements_of
from tests.gpu_runner.comfyui.conftest import shipped_workflow
from tests.support.comfyui_templates import FLUX_FILES, FLUX_SLOTS, flux


@pytest.fixture
def workflow():
    return slots.read("flux", flux(), FLUX_SLOTS)


@pytest.fixture
def flux_request(make_request, workflow):
    def flux_request(checkpoint="", **fields):
        plain = make_request(workflow=workflow, **({"num_inference_steps": 20} | fields))
        asked = plain.request.model_copy(update={"checkpoint": checkpoint})
        return plain.model_copy(update={"checkpoint": None, "request": asked})

    return flux_request


def test_template_without_a_checkpoint_draws_on_a_server_without_checkpoints(
    generate, flux_request, double, backend
):
    double.files["checkpoints"].clear()
    backend.poller.refresh()
    listener = generate(flux_request(seed=9, width=64, height=64))
    assert isinstance(listener.events[-1], Done), listener.events[-1]
    (image,) = listener.images
    assert (image.width, image.seed) == (64, 9)
    assert double.posted[0]["prompt"]["4"]["inputs"]["unet_name"] == "flux1-dev.safetensors"


def test_checkpoint_asked_of_a_template_without_a_place_for_it_is_refused(generate, flux_request):
    failed = generate(flux_request(checkpoint="shapes")).events[-1]
    assert isinstance(failed, Failed)
    assert (failed.code, failed.of_workflow) == ("bad_request", False)
    assert "checkpoint" in failed.message


def test_constants_that_name_model_files_are_what_a_template_needs(workflow):
    needs = requirements_of(workflow)
    assert [use.file for use in needs.files] == list(FLUX_FILES)
    assert needs.main_file == FileUse("UNETLoader", "unet_name", "flux1-dev.safetensors")
    assert needs.main_file.path == "diffusion_models/flux1-dev.safetensors"
    assert {"DualCLIPLoader", "SamplerCustomAdvanced"} <= needs.nodes
    assert requirements_of(shipped_workflow("txt2img")).files == (), "its slot fills in the checkpoint"


def test_slot_of_a_diffusion_model_loader_takes_diffusion_models(workflow):
    chosen = slots.read("flux", flux(), FLUX_SLOTS | {"checkpoint": "4.unet_name"})
    assert checkpoint_folder(chosen) == "diffusion_models"
    assert [use.file for use in requirements_of(chosen).files] == list(FLUX_FILES[1:])
    assert checkpoint_folder(workflow) == ""


def test_inventory_has_files_of_every_folder_and_of_gguf_loaders(backend):
    inventory = backend.poller.inventory.as_inventory()
    assert {
        "diffusion_models/flux1-dev.safetensors",
        "diffusion_models/flux1-dev-Q4.gguf",
        "text_encoders/t5xxl.safetensors",
        "vae/sepia.safetensors",
        "upscalers/2x.safetensors",
    } <= set(inventory.models)
    assert "vae/pixel_space" not in inventory.models
    files_of = {key: listed.files for listed in inventory.file_lists for key in listed.inputs}
    assert files_of["UNETLoader.unet_name"] == ("flux1-dev.safetensors",)
    assert "KSampler.sampler_name" not in files_of


def test_server_that_lost_a_file_of_the_template_says_that_it_is_the_templates(
    generate, flux_request, double, backend
):
    double.files["diffusion_models"].clear()
    backend.poller.refresh()
    failed = generate(flux_request()).events[-1]
    assert isinstance(failed, Failed)
    assert (failed.code, failed.of_workflow) == ("model_unavailable", True)
    assert "flux1-dev.safetensors" in failed.message


def test_constant_that_the_server_rejects_while_it_runs_is_the_templates_too(
    generate, flux_request, double, backend
):
    double.files["diffusion_models"].clear()  # after the inventory was read
    failed = generate(flux_request()).events[-1]
    assert isinstance(failed, Failed)
    assert (failed.code, failed.of_workflow) == ("model_unavailable", True)


def test_model_that_a_loader_cannot_load_is_named_by_its_node(generate, flux_request, double):
    data = {"exception_type": "RuntimeError", "exception_message": "Could not detect model type of: /secret"}
    double.fails_with = {"node_type": "DualCLIPLoader", "data": data}
    failed = generate(flux_request()).events[-1]
    assert isinstance(failed, Failed)
    assert (failed.code, failed.of_workflow) == ("model_unavailable", True)
    assert "DualCLIPLoader" in failed.message
    assert "secret" not in failed.message


# Dynamic inputs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def dynamic():
    graph = flux()
    graph["30"] = {"class_type": "LoadImage", "inputs": {"image": "a.png"}}
    graph["31"] = {
        "class_type": "BatchImagesNode",
        "inputs": {"images.image0": ["8", 0], "images.image1": ["30", 0]},
    }
    graph["20"] = {
        "class_type": "ResizeImageMaskNode",
        "inputs": {
            "input": ["31", 0],
            "resize_type": "scale dimensions",
            "resize_type.width": 512,
            "resize_type.height": 512,
        },
    }
    graph["9"]["inputs"]["images"] = ["20", 0]
    own = {"width": ["27.width", "20.resize_type.width"], "height": ["27.height", "20.resize_type.height"]}
    return slots.read("dynamic", graph, FLUX_SLOTS | own | {"init_images": "30.image"})


def test_growing_and_nested_inputs_are_valid_in_graphs_and_as_slots(dynamic, double):
    assert list(server_check.problems(dynamic, double.object_info())) == []
    assert dynamic.targets("width")[1] == ("20", "resize_type.width", -1)


def test_part_of_an_input_that_is_not_dynamic_is_a_problem(dynamic, double):
    graph = {key: node.model_dump() for key, node in dynamic.graph.items()}
    graph["27"]["inputs"]["width.left"] = 8
    broken = slots.read("broken", graph, FLUX_SLOTS | {"width": "27.width.left"})
    assert "node 27 has no input width.left" in " ".join(server_check.problems(broken, double.object_info()))
