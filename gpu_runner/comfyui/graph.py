"""From an order to the graph of one of its pictures, in the words of the server that draws it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpu_runner.comfyui.inventory import ServerInventory
from gpu_runner.protocol import GenerationRequest, ModelFile, RunRequest, Workflow
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.generation_request import ControlUnit
from gpu_runner.protocol.workflows import node_names, prompt_translation, server_check
from gpu_runner.protocol.workflows.capabilities import inexpressible, takes_upscaler_file
from gpu_runner.protocol.workflows.graph_builder import ControlNode, Filling, Graph, LoraNode, fill


class MissingModel(ValueError):
    """This server has not what the job needs. The message is fit for the client's eyes."""


class UploadedInputs:
    """Names of the uploaded pictures, as LoadImage knows them."""

    def __init__(self, init: str = "", mask: str = "", controls: Sequence[str] = ()) -> None:
        self.init = init
        self.mask = mask
        self.controls = controls


def check(order: RunRequest, stock: ServerInventory) -> Workflow:
    """Raises BadOrder or Lacking. What the platform has checked already is checked for this server."""
    workflow = order.workflow
    if workflow is None:
        raise InvalidRequest("a ComfyUI runner draws by a workflow, and the order has none")
    for refused in inexpressible(order.request, workflow):
        raise InvalidRequest(f"{refused.field}: {refused.why}")
    for problem in server_check.problems(workflow, stock.nodes):
        raise MissingModel(f"the workflow {workflow.name} does not fit this ComfyUI: {problem}")
    for unit in order.request.controls:
        node = node_names.MODULE_NODES.get(unit.module)
        if node and node[0] not in stock.nodes:
            raise MissingModel(
                f"the preprocessor {unit.module} needs the node {node[0]}, which this ComfyUI lacks"
            )
    return workflow


def graph(
    order: RunRequest,
    workflow: Workflow,
    stock: ServerInventory,
    index: int,
    sent: UploadedInputs,
    prefix: str,
) -> Graph:
    request = order.request
    values = {**_numbers(request, index), **_names(order, workflow, stock), "filename_prefix": prefix}
    values |= {"init_images": sent.init, "inpaint.mask": sent.mask}
    used = {slot: value for slot, value in values.items() if slot in workflow.slots}
    filling = Filling(
        values=used,
        loras=tuple(_lora(order, stock, use.name, use.unet, use.text_encoder) for use in request.loras),
        vae=_found(stock, order.file("vae", request.vae), request.vae) if request.vae else "",
        controls=tuple(
            _control(order, stock, unit, name)
            for unit, name in zip(request.controls, sent.controls, strict=True)
        ),
    )
    return fill(workflow, filling)


def first_steps(request: GenerationRequest) -> int:
    """From a picture only the last part of a schedule is walked; ComfyUI counts the steps of that part."""
    steps = request.num_inference_steps
    if not request.init_images or request.exact_steps:
        return steps
    return min(steps, int(min(request.strength, 0.999) * steps) + 1)


def _numbers(request: GenerationRequest, index: int) -> dict[str, Any]:
    values: dict[str, Any] = {
        "seed": request.seed_of(index),
        "num_inference_steps": first_steps(request),
        "guidance_scale": request.guidance_scale,
        "strength": request.strength,
        "width": request.width,
        "height": request.height,
        "clip_skip": -request.clip_skip,
    }
    if hires := request.hires:
        values |= {
            "hires.width": hires.width,
            "hires.height": hires.height,
            "hires.num_inference_steps": hires.num_inference_steps or request.num_inference_steps,
            "hires.strength": hires.strength,
        }
    return values


def _names(order: RunRequest, workflow: Workflow, stock: ServerInventory) -> dict[str, Any]:
    request, steps = order.request, order.request.num_inference_steps
    embeddings = {name: _embedding(order, stock, name) for name in request.embeddings}
    values: dict[str, Any] = {
        "prompt": prompt_translation.positive(request.prompt, steps, embeddings),
        "negative_prompt": prompt_translation.negative(request.negative_prompt, steps, embeddings),
        "sampler": node_names.SAMPLERS.get(request.sampler),
        "scheduler": node_names.scheduler(request.sampler, request.scheduler),
    }
    if "checkpoint" in workflow.slots:
        values["checkpoint"] = _found(stock, order.checkpoint, request.checkpoint)
    if hires := request.hires:
        sampler = hires.sampler or request.sampler
        values["hires.sampler"] = node_names.SAMPLERS.get(sampler)
        values["hires.scheduler"] = node_names.scheduler(sampler, hires.scheduler or request.scheduler)
        if takes_upscaler_file(workflow):
            values["hires.upscaler"] = _found(stock, order.file("upscaler", hires.upscaler), hires.upscaler)
        else:
            values["hires.upscaler"] = node_names.LATENT_METHODS.get(hires.upscaler)
    return values


def _found(stock: ServerInventory, file: ModelFile, name: str) -> str:
    found = stock.find(file.path)
    if found is None:
        raise MissingModel(f"this ComfyUI does not have the file of {name or file.path}")
    return found


def _embedding(order: RunRequest, stock: ServerInventory, name: str) -> str:
    """What is missing ComfyUI leaves out without a word, so it is refused here."""
    found = stock.embedding(order.file("embedding", name).path)
    if found is None:
        raise MissingModel(f"this ComfyUI does not have the embedding {name}")
    return found


def _lora(order: RunRequest, stock: ServerInventory, name: str, model: float, clip: float) -> LoraNode:
    return LoraNode(_found(stock, order.file("lora", name), name), model, clip)


def _control(order: RunRequest, stock: ServerInventory, unit: ControlUnit, image: str) -> ControlNode:
    node = node_names.MODULE_NODES.get(unit.module)
    resolution = unit.processor_res or min(order.request.width, order.request.height)
    return ControlNode(
        model=_found(stock, order.file("controlnet", unit.model), unit.model),
        image=image,
        strength=unit.weight,
        start=unit.guidance_start,
        end=unit.guidance_end,
        preprocessor=(node[0], {**node[1], "resolution": resolution}) if node else None,
    )
