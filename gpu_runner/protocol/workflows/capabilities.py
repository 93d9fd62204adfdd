"""Request fields that a workflow template does not support. Such requests are rejected, never changed silently."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.catalogs import upscalers as upscaler_catalog
from gpu_runner.protocol.generation_request import GenerationRequest
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.passes import Hires, Inpaint

from . import node_names, prompt_translation, reasons
from .reasons import UnsupportedField
from .slots import CONTROLS
from .template import Workflow

# Handled by the platform or the adapter, independently of the graph.
HANDLED_OUTSIDE_GRAPH = frozenset(
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
# Applied by the adapter to the init image before its upload, and to the output.
HANDLED_ON_IMAGES = frozenset(
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


def unsupported_fields(request: GenerationRequest, workflow: Workflow) -> Iterator[UnsupportedField]:
    """Yield the fields of a request that the template does not support. Fields with their default value are ignored."""
    slots, words = workflow.slots.keys(), {"workflow": workflow.name}
    for name in _non_default_fields(request):
        if name == "subseed" and not request.subseed_strength:
            continue  # dialects choose a random subseed, which has no effect at strength 0
        if name == "eta" and request.eta == sampler_catalog.sampler(request.sampler).default_eta:
            continue  # A1111's clients always ask for the default, which is ComfyUI's, too
        if name in HANDLED_OUTSIDE_GRAPH or name in slots:
            continue
        if "init_images" in slots and name in HANDLED_ON_IMAGES:
            continue
        match name:
            case "inpaint" if "inpaint.mask" in slots and request.inpaint:
                yield from _unsupported_in_inpaint(request.inpaint)
            case "change_background" if {"init_images", "inpaint.mask"} <= slots:
                yield from _unsupported_in_change_background(request)
            case "video" if workflow.output == "video" and request.video:
                for part in _non_default_fields(request.video):
                    if f"video.{part}" not in slots:
                        yield UnsupportedField(f"video.{part}", reasons.NO_SLOT, words)
            case "video":
                yield UnsupportedField("video", reasons.MAKES_IMAGES, words)
            case "images" if workflow.max_images:
                yield from _unsupported_count(request, workflow)
            case "hires" if request.hires:
                yield from _unsupported_in_hires(request.hires, workflow)
            case _:
                yield UnsupportedField(name, reasons.NO_SLOT, words)
    yield from _missing_parts(request, workflow)
    yield from _unsupported_names(request, workflow)
    yield from _unsupported_prompts(request)
    if request.controls and CONTROLS in slots:
        for unit in request.controls:
            yield from _unsupported_in_unit(unit)


# A template may ignore these where it has no slot for them: they say how to draw, not what.
IGNORABLE = frozenset(
    {
        *(
            "checkpoint",
            "vae",
            "negative_prompt",
            "num_inference_steps",
            "guidance_scale",
            "sampler",
            "scheduler",
        ),
        *(
            "clip_skip",
            "seed",
            "width",
            "height",
            "strength",
            "eta",
            "emphasis",
            "subseed_strength",
            "s_churn",
            "video.frames",
            "video.fps",
        ),
    }
)


def without_ignorable(
    request: GenerationRequest, workflow: Workflow
) -> tuple[GenerationRequest, list[UnsupportedField]]:
    """Return the request with the defaults of fields that the template may ignore, and these fields."""
    unsupported = [found for found in unsupported_fields(request, workflow) if found.field in IGNORABLE]
    ignored = [found for found in unsupported if found.field not in workflow.slots]
    fields = type(request).model_fields
    changes: dict[str, Any] = {
        found.field: fields[found.field].get_default(call_default_factory=True)
        for found in ignored
        if found.field in fields
    }
    parts = [found.field.removeprefix("video.") for found in ignored if found.field.startswith("video.")]
    if request.video and parts:
        changes["video"] = request.video.model_copy(update=dict.fromkeys(parts))
    return request.model_copy(update=changes), ignored


def _non_default_fields(part: BaseModel) -> Iterator[str]:
    for name, field in type(part).model_fields.items():
        if getattr(part, name) != field.get_default(call_default_factory=True):
            yield name


def _missing_parts(request: GenerationRequest, workflow: Workflow) -> Iterator[UnsupportedField]:
    """Yield what the template needs and the request lacks: its constants would be drawn instead."""
    slots = workflow.slots.keys()
    required = {
        "init_images": "init_images" in slots and not request.init_images,
        "inpaint.mask": "inpaint.mask" in slots and not (request.inpaint or request.change_background),
        "video": workflow.output == "video" and request.video is None,
        "images": len(request.images) < workflow.min_images and not request.images,
        "hires": any(slot.startswith("hires.") for slot in slots) and not request.hires,
    }
    for field, is_missing in required.items():
        if is_missing:
            yield UnsupportedField(field, reasons.REQUIRED, {"workflow": workflow.name})


def _unsupported_count(request: GenerationRequest, workflow: Workflow) -> Iterator[UnsupportedField]:
    count, least, most = len(request.images), workflow.min_images, workflow.max_images
    if not least <= count <= most:
        allowed = str(most) if least == most else f"{least}-{most}"
        words = {"workflow": workflow.name, "allowed": allowed, "count": count}
        yield UnsupportedField("images", reasons.IMAGE_COUNT, words)


def _unsupported_in_inpaint(inpaint: Inpaint) -> Iterator[UnsupportedField]:
    for name in _non_default_fields(inpaint):
        if name not in INPAINT_FIELDS:
            yield UnsupportedField(f"inpaint.{name}", reasons.NOT_ON_COMFYUI)
    if inpaint.content not in CONTENTS:
        yield _unsupported_content("inpaint.content", inpaint.content)


def _unsupported_in_change_background(request: GenerationRequest) -> Iterator[UnsupportedField]:
    part = request.change_background
    assert part is not None
    if part.mask is None and part.cut_out_by != "transparency":
        model = "text detector" if part.cut_out_by == "letters" else "matting model"
        yield UnsupportedField("change_background.mask", reasons.NO_MODEL_FOR_MASK, {"model": model})
    contents = ("neutral", *CONTENTS)
    if part.content not in contents:
        yield _unsupported_content("change_background.content", part.content, contents)


def _unsupported_content(field: str, content: str, contents: tuple[str, ...] = CONTENTS) -> UnsupportedField:
    return UnsupportedField(field, reasons.NOT_ALLOWED, {"allowed": " / ".join(contents), "got": content})


def _unsupported_in_hires(hires: Hires, workflow: Workflow) -> Iterator[UnsupportedField]:
    slots = workflow.slots.keys()
    for name in ("width", "height", "upscaler", *_non_default_fields(hires)):
        field = f"hires.{name}"
        if name != "scale" and field not in slots:
            yield UnsupportedField(field, reasons.NO_SLOT, {"workflow": workflow.name})
    wants_file = bool(upscaler_catalog.file_of(hires.upscaler))
    if takes_upscaler_file(workflow) != wants_file or not (
        wants_file or hires.upscaler in node_names.LATENT_METHODS
    ):
        yield UnsupportedField(
            "hires.upscaler",
            reasons.NAME_NOT_OF_WORKFLOW,
            {"name": hires.upscaler, "workflow": workflow.name},
        )


def takes_upscaler_file(workflow: Workflow) -> bool:
    """Whether the template upscales with a model file, and not by latent interpolation."""
    return any(target.input == "model_name" for target in workflow.targets("hires.upscaler"))


def _unsupported_names(request: GenerationRequest, workflow: Workflow) -> Iterator[UnsupportedField]:
    passes: list[tuple[str, GenerationRequest | Hires]] = [("", request)]
    if request.hires:
        passes.append(("hires.", request.hires))
    for prefix, each in passes:
        sampler, scheduler = each.sampler or request.sampler, each.scheduler or request.scheduler
        if prefix + "sampler" in workflow.slots and sampler not in node_names.SAMPLERS:
            yield UnsupportedField(prefix + "sampler", reasons.NO_SAMPLER, {"name": sampler})
        elif prefix + "scheduler" in workflow.slots and node_names.scheduler(sampler, scheduler) is None:
            yield UnsupportedField(prefix + "scheduler", reasons.NO_SCHEDULER, {"name": scheduler})


def _unsupported_prompts(request: GenerationRequest) -> Iterator[UnsupportedField]:
    for field, text, translate in (
        ("prompt", request.prompt, prompt_translation.positive),
        ("negative_prompt", request.negative_prompt, prompt_translation.negative),
    ):
        try:
            translate(text, request.num_inference_steps)
        except prompt_translation.UntranslatablePrompt as error:
            yield UnsupportedField(field, reasons.PROMPT_SYNTAX, {"what": error})


def _unsupported_in_unit(unit: ControlUnit) -> Iterator[UnsupportedField]:
    for name in _non_default_fields(unit):
        if name not in UNIT_FIELDS:
            yield UnsupportedField(f"controls.{name}", reasons.NOT_ON_COMFYUI)
    if not unit.model:
        yield UnsupportedField("controls.model", reasons.REQUIRED_ON_COMFYUI)
    if unit.module not in node_names.LOCAL_MODULES and unit.module not in node_names.MODULE_NODES:
        yield UnsupportedField("controls.module", reasons.NAME_NOT_ON_COMFYUI, {"name": unit.module})
