"""What of a request a template cannot say. Such a request is refused by the field's name; nothing is dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pydantic import BaseModel

from gpu_runner.protocol import upscaler_catalog
from gpu_runner.protocol.generation_request import ControlUnit, GenerationRequest, Hires, Inpaint

from . import node_names, prompt_translation
from .slots import CONTROLS
from .template import Workflow

# What the platform or the adapter does itself, whatever the graph is.
DONE_BESIDE = frozenset(
    {
        "task",
        "output_format",
        "output_quality",
        "preview_every",
        "num_images",
        "batch_size",
        "embeddings",
        "labels",
        "marks",
    }
)
# Done to the init image before it is sent, and to the picture that comes back.
DONE_TO_PICTURES = frozenset(
    {"width", "height", "resize_mode", "background", "keep_texture", "colour_correction", "exact_steps"}
)
UNIT_FIELDS = frozenset(
    {
        *(
            "model",
            "module",
            "image",
            "weight",
            "guidance_start",
            "guidance_end",
            "resize_mode",
            "return_map",
        ),
        *("processor_res", "threshold_a", "threshold_b", "pixel_perfect"),
    }
)
INPAINT_FIELDS = frozenset(
    {"mask", "invert", "blur_x", "blur_y", "only_masked", "padding", "overlay", "content"}
)
CONTENTS = ("original", "fill")


class Inexpressible(NamedTuple):
    field: str
    why: str


def inexpressible(request: GenerationRequest, workflow: Workflow) -> Iterator[Inexpressible]:
    """A field that stands at its default asks for nothing."""
    slots = workflow.slots.keys()
    for name in _asked(request):
        if name == "subseed" and not request.subseed_strength:
            continue  # dialects draw lots for it, and nothing comes of it
        if name in DONE_BESIDE or name in slots or ("init_images" in slots and name in DONE_TO_PICTURES):
            continue
        match name:
            case "inpaint" if "inpaint.mask" in slots and request.inpaint:
                yield from _inpaint(request.inpaint)
            case "change_background" if {"init_images", "inpaint.mask"} <= slots:
                yield from _change_background(request)
            case "hires" if request.hires:
                yield from _hires(request.hires, workflow)
            case _:
                yield Inexpressible(name, f"the workflow {workflow.name} has no place for it")
    yield from _names(request, workflow)
    yield from _words(request)
    if request.controls and CONTROLS in slots:
        for unit in request.controls:
            yield from _unit(unit)


def _asked(part: BaseModel) -> Iterator[str]:
    for name, field in type(part).model_fields.items():
        if getattr(part, name) != field.get_default(call_default_factory=True):
            yield name


def _inpaint(inpaint: Inpaint) -> Iterator[Inexpressible]:
    for name in _asked(inpaint):
        if name not in INPAINT_FIELDS:
            yield Inexpressible(f"inpaint.{name}", "ComfyUI workflows have no place for it")
    if inpaint.content not in CONTENTS:
        yield Inexpressible("inpaint.content", f"only {' and '.join(CONTENTS)} can be sent to ComfyUI")


def _change_background(request: GenerationRequest) -> Iterator[Inexpressible]:
    part = request.change_background
    assert part is not None
    if part.mask is None and part.cut_out_by == "matting":
        yield Inexpressible("change_background.mask", "a ComfyUI runner has no matting model of ours")
    if part.content not in CONTENTS:
        yield Inexpressible(
            "change_background.content", f"only {' and '.join(CONTENTS)} can be sent to ComfyUI"
        )


def _hires(hires: Hires, workflow: Workflow) -> Iterator[Inexpressible]:
    slots = workflow.slots.keys()
    for name in ("width", "height", "upscaler", *_asked(hires)):
        field = f"hires.{name}"
        if name != "scale" and field not in slots:
            yield Inexpressible(field, f"the workflow {workflow.name} has no place for it")
    wants_file = bool(upscaler_catalog.file_of(hires.upscaler))
    if takes_upscaler_file(workflow) != wants_file or not (
        wants_file or hires.upscaler in node_names.LATENT_METHODS
    ):
        yield Inexpressible(
            "hires.upscaler", f"the workflow {workflow.name} cannot enlarge with {hires.upscaler}"
        )


def takes_upscaler_file(workflow: Workflow) -> bool:
    return any(place.input == "model_name" for place in workflow.places("hires.upscaler"))


def _names(request: GenerationRequest, workflow: Workflow) -> Iterator[Inexpressible]:
    passes: list[tuple[str, GenerationRequest | Hires]] = [("", request)]
    if request.hires:
        passes.append(("hires.", request.hires))
    for prefix, walked in passes:
        sampler, scheduler = walked.sampler or request.sampler, walked.scheduler or request.scheduler
        if prefix + "sampler" in workflow.slots and sampler not in node_names.SAMPLERS:
            yield Inexpressible(prefix + "sampler", f"ComfyUI has no sampler that is {sampler}")
        elif prefix + "scheduler" in workflow.slots and node_names.scheduler(sampler, scheduler) is None:
            yield Inexpressible(prefix + "scheduler", f"ComfyUI has no scheduler that is {scheduler}")


def _words(request: GenerationRequest) -> Iterator[Inexpressible]:
    for field, text, read in (
        ("prompt", request.prompt, prompt_translation.positive),
        ("negative_prompt", request.negative_prompt, prompt_translation.negative),
    ):
        try:
            read(text, request.num_inference_steps)
        except prompt_translation.NotInItsWords as error:
            yield Inexpressible(field, f"ComfyUI's prompts have no {error}")


def _unit(unit: ControlUnit) -> Iterator[Inexpressible]:
    for name in _asked(unit):
        if name not in UNIT_FIELDS:
            yield Inexpressible(f"controls.{name}", "ComfyUI's ControlNet nodes have no place for it")
    if not unit.model:
        yield Inexpressible("controls.model", "ComfyUI needs a ControlNet for every unit")
    if unit.module not in node_names.DRAWN_MODULES and unit.module not in node_names.MODULE_NODES:
        yield Inexpressible("controls.module", f"no ComfyUI node is known for {unit.module}")
