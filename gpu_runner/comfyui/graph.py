"""Builds the ComfyUI graph of one image of a job, with the names of models on the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpu_runner.comfyui.inventory import ServerInventory
from gpu_runner.protocol import MAX_SEED, GenerationRequest, ModelFile, RunRequest, Workflow
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.workflows import node_names, prompt_translation, server_check
from gpu_runner.protocol.workflows.capabilities import takes_upscaler_file, unsupported_fields
from gpu_runner.protocol.workflows.graph_builder import ControlNode, Graph, LoraNode, SlotValues, build_graph
from gpu_runner.protocol.workflows.request_images.optional_images import without_nodes
from gpu_runner.protocol.workflows.slots import filled_slots
from gpu_runner.protocol.workflows.template import image_slot


class MissingModel(ValueError):
    """The server does not have a model or node that the job needs. The message is safe to show to clients.

    ``of_workflow``: the template needs it, whatever the request.
    """

    def __init__(self, message: str, *, of_workflow: bool = False) -> None:
        super().__init__(message)
        self.of_workflow = of_workflow


class UploadedInputs:
    """Names of the uploaded images for LoadImage."""

    def __init__(
        self, init: str = "", mask: str = "", controls: Sequence[str] = (), references: Sequence[str] = ()
    ) -> None:
        self.init = init
        self.mask = mask
        self.controls = controls
        self.references = references


def check(run_request: RunRequest, inventory: ServerInventory) -> Workflow:
    """Return the workflow of a job if this server can run it. Raises InvalidRequest or MissingModel."""
    workflow = run_request.workflow
    if workflow is None:
        raise InvalidRequest("workflow is required on a ComfyUI runner")
    for unsupported in unsupported_fields(run_request.request, workflow):
        raise InvalidRequest(f"{unsupported.field}: {unsupported.why}")
    for problem in server_check.problems(workflow, inventory.nodes):
        message = f"the workflow {workflow.name} cannot run on this ComfyUI: {problem}"
        raise MissingModel(message, of_workflow=True)
    for unit in run_request.request.controls:
        node = node_names.MODULE_NODES.get(unit.module)
        if node and node[0] not in inventory.nodes:
            raise MissingModel(
                f"the preprocessor {unit.module} needs the node class {node[0]}, which this ComfyUI does not have"
            )
    return workflow


def graph_of(
    run_request: RunRequest,
    workflow: Workflow,
    inventory: ServerInventory,
    images: range,
    uploaded: UploadedInputs,
    prefix: str,
) -> Graph:
    """Return the graph of these images of the job, which have one seed. Raises MissingModel.

    ``prefix`` is the file name prefix of the output; further nodes that save images have one of their own.
    """
    request = run_request.request
    outputs, extras = workflow.output_nodes, workflow.extra_nodes
    prefixes = [prefix, *(f"{prefix}-{number}" for number in range(1, len(outputs) + len(extras)))]
    values = {
        **_numbers(request, images.start),
        **_names(run_request, workflow, inventory),
        "batch_size": len(images),
        "filename_prefix": tuple(prefixes[: len(outputs)]),
        "extras": tuple(prefixes[len(outputs) :]),
    }
    values |= {"init_images": uploaded.init, "inpaint.mask": uploaded.mask}
    values |= {image_slot(number): name for number, name in enumerate(uploaded.references)}
    filled = filled_slots(workflow, request)
    used = {slot: value for slot, value in values.items() if slot in filled}
    slot_values = SlotValues(
        values=used,
        loras=tuple(
            _lora(run_request, inventory, use.name, use.unet, use.text_encoder) for use in request.loras
        ),
        vae=_found(inventory, run_request.file("vae", request.vae), request.vae) if request.vae else "",
        controls=tuple(
            _control(run_request, inventory, unit, name)
            for unit, name in zip(request.controls, uploaded.controls, strict=True)
        ),
    )
    missing = {
        target.node
        for number in range(len(uploaded.references), workflow.max_images)
        for target in workflow.targets(image_slot(number))
    }
    return without_nodes(build_graph(workflow, slot_values), missing, inventory.nodes)


def first_steps(request: GenerationRequest) -> int:
    """Return the ``steps`` input of the first sampler node.

    For img2img, A1111 counts the steps of the whole schedule, ComfyUI only those that are run.
    """
    steps = request.num_inference_steps
    if not request.init_images or request.exact_steps:
        return steps
    return min(steps, int(min(request.strength, 0.999) * steps) + 1)


def _numbers(request: GenerationRequest, index: int) -> dict[str, Any]:
    values: dict[str, Any] = {
        "seed": request.seed_of(index) % (MAX_SEED + 1),
        "num_inference_steps": first_steps(request),
        "guidance_scale": request.guidance_scale,
        "strength": request.strength,
        "width": request.width,
        "height": request.height,
        "clip_skip": -request.clip_skip,
    }
    if request.video:
        values |= {"video.frames": request.video.frames, "video.fps": request.video.fps}
    if hires := request.hires:
        values |= {
            "hires.width": hires.width,
            "hires.height": hires.height,
            "hires.num_inference_steps": hires.num_inference_steps or request.num_inference_steps,
            "hires.strength": hires.strength,
        }
    return values


def _names(run_request: RunRequest, workflow: Workflow, inventory: ServerInventory) -> dict[str, Any]:
    request, steps = run_request.request, run_request.request.num_inference_steps
    embeddings = {name: _embedding(run_request, inventory, name) for name in request.embeddings}
    values: dict[str, Any] = {
        "prompt": prompt_translation.positive(request.prompt, steps, embeddings),
        "negative_prompt": prompt_translation.negative(request.negative_prompt, steps, embeddings),
        "sampler": node_names.SAMPLERS.get(request.sampler),
        "scheduler": node_names.scheduler(request.sampler, request.scheduler),
    }
    if "checkpoint" in workflow.slots and run_request.checkpoint is not None:
        values["checkpoint"] = _found(inventory, run_request.checkpoint_file, request.checkpoint)
    if hires := request.hires:
        sampler = hires.sampler or request.sampler
        values["hires.sampler"] = node_names.SAMPLERS.get(sampler)
        values["hires.scheduler"] = node_names.scheduler(sampler, hires.scheduler or request.scheduler)
        if takes_upscaler_file(workflow):
            values["hires.upscaler"] = _found(
                inventory, run_request.file("upscaler", hires.upscaler), hires.upscaler
            )
        else:
            values["hires.upscaler"] = node_names.LATENT_METHODS.get(hires.upscaler)
    return values


def _found(inventory: ServerInventory, file: ModelFile, name: str) -> str:
    found = inventory.find(file.path)
    if found is None:
        raise MissingModel(f"this ComfyUI does not have the model {name or file.path}")
    return found


def _embedding(run_request: RunRequest, inventory: ServerInventory, name: str) -> str:
    """Return ComfyUI's name of an embedding. Raises MissingModel, because ComfyUI ignores missing embeddings."""
    found = inventory.embedding(run_request.file("embedding", name).path)
    if found is None:
        raise MissingModel(f"this ComfyUI does not have the embedding {name}")
    return found


def _lora(
    run_request: RunRequest, inventory: ServerInventory, name: str, model: float, clip: float
) -> LoraNode:
    return LoraNode(_found(inventory, run_request.file("lora", name), name), model, clip)


def _control(
    run_request: RunRequest, inventory: ServerInventory, unit: ControlUnit, image: str
) -> ControlNode:
    node = node_names.MODULE_NODES.get(unit.module)
    resolution = unit.processor_res or min(run_request.request.width, run_request.request.height)
    return ControlNode(
        model=_found(inventory, run_request.file("controlnet", unit.model), unit.model),
        image=image,
        strength=unit.weight,
        start=unit.guidance_start,
        end=unit.guidance_end,
        preprocessor=(node[0], {**node[1], "resolution": resolution}) if node else None,
    )
