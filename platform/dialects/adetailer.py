"""Units of the A1111 extension ADetailer as detail passes of the canonical request."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from pydantic import ValidationError

from access.models import BusinessSource
from dialects.adetailer_arguments import NO_MODEL, SAME_SCHEDULER, InvalidUnit, Path, Unit
from gpu_runner.protocol.catalogs import preprocessors as preprocessor_catalog
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.details import MAX_REGIONS, DetailPass, FaceRestoration
from jobs.admission import defaults
from jobs.admission.model_choice.resolution import ModelResolver
from jobs.errors import Refused
from models_registry.errors import ModelNotFound, ModelUnusable
from models_registry.models import Kind
from models_registry.selectors import control_model, control_model_problem, resolve

SAME_CHECKPOINT, SAME_VAE = "Use same checkpoint", "Use same VAE"
SAME_SAMPLER = "Use same sampler"
PASSTHROUGH = "Passthrough"
SEPARATOR = re.compile(r"\s*\[SEP\]\s*")
SKIP = re.compile(r"\s*\[SKIP\]\s*")
PROMPT = "[PROMPT]"
# Models of the extension that the registry's face detector stands for, and the masks that they draw.
FACES = re.compile(r"(face_yolo.*|mediapipe_face_(full|short))", re.IGNORECASE)
FACE_SHAPES = {"mediapipe_face_mesh": "ellipse", "mediapipe_face_mesh_eyes_only": "eyes"}
SUFFIX = re.compile(r"\.(pt|pth|onnx)$", re.IGNORECASE)
MERGES = {"None": "none", "Merge": "merge", "Merge and Invert": "invert"}
# Module of a ControlNet, by a part of its name, if the unit names none.
MODULES = {
    "inpaint": "inpaint_global_harmonious",
    "scribble": "t2ia_sketch_pidi",
    "lineart": "lineart_coarse",
    "openpose": "openpose_full",
    "tile": "tile_resample",
    "depth": "depth_midas",
}
SIDE_MULTIPLE = 8
MAX_NAME_LENGTH = 100  # of a name in messages, in characters


@dataclass(frozen=True)
class Context:
    """What the units take from their request, in the words of its dialect."""

    source: BusinessSource
    prompt: str  # for [PROMPT]: as sent, without styles
    negative_prompt: str
    sampler: str
    noise_multiplier: float
    controls: tuple[ControlUnit, ...]  # for "Passthrough"
    positive: Callable[[str], str]  # applies styles, for example
    negative: Callable[[str], str]
    loras: Callable[[str], list[dict[str, Any]]]  # of the tags in a prompt
    eta: Callable[[str], float | None]  # of a sampler, if the request does not say
    faces: Callable[[Path], FaceRestoration | None]  # the request's way to restore faces
    note: Callable[[Path, str], None]  # tells the client of something that has no effect
    overlay: bool = True


def detail_passes(units: dict[int, Unit], context: Context) -> tuple[DetailPass, ...]:
    """The detail passes of the units. Raises InvalidUnit."""
    return tuple(_detail_pass(index, unit, context) for index, unit in units.items())


def _detail_pass(index: int, unit: Unit, context: Context) -> DetailPass:
    fields = {
        **_detector(index, unit, context),
        **_selection(index, unit, context),
        "label": unit.ad_model,
        "confidence": unit.ad_confidence,
        "min_share": unit.ad_mask_min_ratio,
        "max_share": unit.ad_mask_max_ratio,
        "offset_x": unit.ad_x_offset,
        "offset_y": unit.ad_y_offset,
        "dilation": unit.ad_dilate_erode,
        "merge": MERGES[unit.ad_mask_merge_invert],
        "mask_blur": unit.ad_mask_blur,
        "regions": _regions(index, unit, context),
        "strength": unit.ad_denoising_strength,
        "only_masked": unit.ad_inpaint_only_masked,
        "padding": unit.ad_inpaint_only_masked_padding,
        "overlay": context.overlay,
        "noise_multiplier": unit.ad_noise_multiplier
        if unit.ad_use_noise_multiplier
        else context.noise_multiplier,
        "face_restoration": context.faces((index, "ad_restore_face")) if unit.ad_restore_face else None,
        "controls": _controls(index, unit, context),
        **_models(index, unit, context),
        **_sampling(index, unit, context),
    }
    try:
        return DetailPass.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidUnit((index,), f"{first['loc'][0]}: {first['msg']}") from None


def _detector(index: int, unit: Unit, context: Context) -> dict[str, Any]:
    """An object detector of the registry by its name, also with another suffix; else the face detector for faces."""
    name = unit.ad_model
    classes = tuple(part.strip() for part in unit.ad_model_classes.split(",") if part.strip())
    for candidate in dict.fromkeys([name, SUFFIX.sub("", name)]):
        try:
            file = resolve(Kind.DETECTOR, candidate or "\0", context.source)
        except ModelUnusable as error:
            raise InvalidUnit((index, "ad_model"), str(error)) from None
        except ModelNotFound:
            continue
        return {"detector_kind": "detector", "detector": file.name, "classes": classes}
    shape = "box" if FACES.fullmatch(name) else FACE_SHAPES.get(name.lower())
    if shape is None:
        message = _(
            "unknown detector %(name)s: face_yolov8 and mediapipe_face models find faces;"
            " others need a YOLO file in ONNX format in the folder detectors of the registry"
        )
        raise InvalidUnit((index, "ad_model"), message % {"name": name[:MAX_NAME_LENGTH]})
    if classes:
        context.note((index, "ad_model_classes"), _("ad_model_classes has no effect on a face detector"))
    try:
        detector = defaults.default_model(ModelResolver(context.source), Kind.FACE_DETECTOR)
    except Refused as refused:
        raise InvalidUnit((index, "ad_model"), refused.message) from None
    return {"detector": detector, "shape": shape}


def _selection(index: int, unit: Unit, context: Context) -> dict[str, Any]:
    if not unit.ad_mask_k:
        return {}
    if unit.ad_mask_k > MAX_REGIONS:
        message = _("ad_mask_k has no effect above %d: no more regions of an image are inpainted")
        context.note((index, "ad_mask_k"), message % MAX_REGIONS)
    return {"order": unit.ad_mask_filter_method.lower(), "max_regions": min(unit.ad_mask_k, MAX_REGIONS)}


def _regions(index: int, unit: Unit, context: Context) -> list[dict[str, Any]]:
    """Prompts between ``[SEP]``, one per region. Blank ones are those of the request; ``[PROMPT]`` stands for it."""
    positives, negatives = SEPARATOR.split(unit.ad_prompt), SEPARATOR.split(unit.ad_negative_prompt)
    if positives == negatives == [""]:
        return []
    count = max(len(positives), len(negatives))
    if count > MAX_REGIONS:
        raise InvalidUnit((index, "ad_prompt"), _("at most %d prompts separated by [SEP]") % MAX_REGIONS)
    regions = []
    for number in range(count):
        text = positives[min(number, len(positives) - 1)]
        negative = negatives[min(number, len(negatives) - 1)]
        if SKIP.fullmatch(text):
            regions.append({"skip": True})
            continue
        region: dict[str, Any] = {}
        if text:
            region["prompt"] = context.positive(text.replace(PROMPT, context.prompt))
            region["loras"] = context.loras(region["prompt"])
        if negative:
            region["negative_prompt"] = context.negative(negative.replace(PROMPT, context.negative_prompt))
        regions.append(region)
    return regions


def _models(index: int, unit: Unit, context: Context) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if unit.ad_use_checkpoint and unit.ad_checkpoint not in (*NO_MODEL, SAME_CHECKPOINT):
        fields["checkpoint"] = _file(Kind.CHECKPOINT, unit.ad_checkpoint, (index, "ad_checkpoint"), context)
    if unit.ad_use_vae and unit.ad_vae not in (*NO_MODEL, SAME_VAE):
        automatic = unit.ad_vae == "Automatic"
        fields["vae"] = "" if automatic else _file(Kind.VAE, unit.ad_vae, (index, "ad_vae"), context)
    if unit.ad_use_clip_skip:
        fields["clip_skip"] = unit.ad_clip_skip
    return fields


def _file(kind: Kind, name: str, path: Path, context: Context) -> str:
    try:
        return resolve(kind, name, context.source).name
    except ModelNotFound as error:
        raise InvalidUnit(path, str(error)) from None


def _sampling(index: int, unit: Unit, context: Context) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if unit.ad_use_inpaint_width_height:
        fields["width"] = unit.ad_inpaint_width // SIDE_MULTIPLE * SIDE_MULTIPLE
        fields["height"] = unit.ad_inpaint_height // SIDE_MULTIPLE * SIDE_MULTIPLE
    if unit.ad_use_steps:
        fields["num_inference_steps"] = unit.ad_steps
    if unit.ad_use_cfg_scale:
        fields["guidance_scale"] = unit.ad_cfg_scale
    sampler = context.sampler
    if unit.ad_use_sampler:
        same_schedule = unit.ad_scheduler in ("", SAME_SCHEDULER)
        schedule = "" if same_schedule else unit.ad_scheduler
        if schedule and not sampler_catalog.is_scheduler(schedule):
            message = _("unknown scheduler %(name)s") % {"name": schedule[:MAX_NAME_LENGTH]}
            raise InvalidUnit((index, "ad_scheduler"), message)
        if unit.ad_sampler in ("", SAME_SAMPLER):
            fields["scheduler"] = sampler_catalog.resolve(sampler, schedule)[1] if schedule else ""
        else:
            sampler, label = sampler_catalog.resolve(unit.ad_sampler, schedule)
            rest = unit.ad_sampler.removeprefix(sampler).strip()
            if not unit.ad_sampler.startswith(sampler) or (rest and not sampler_catalog.is_scheduler(rest)):
                message = _("unknown sampler %(name)s") % {"name": unit.ad_sampler[:MAX_NAME_LENGTH]}
                raise InvalidUnit((index, "ad_sampler"), message)
            inherits = same_schedule and not rest
            fields |= {"sampler": sampler, "scheduler": "" if inherits else label}
    return fields | {"eta": context.eta(sampler)}


def _controls(index: int, unit: Unit, context: Context) -> tuple[ControlUnit, ...]:
    """One control unit with the region as its image, or the units of the request."""
    name = unit.ad_controlnet_model
    if name in NO_MODEL:
        return ()
    if name == PASSTHROUGH:
        return tuple(control.model_copy(update={"return_map": False}) for control in context.controls)
    file = control_model(name, context.source)
    if file is None:
        message = _("ControlNet model not found: %s") % name[:MAX_NAME_LENGTH]
        raise InvalidUnit(
            (index, "ad_controlnet_model"), control_model_problem(name, context.source) or message
        )
    start, end = unit.ad_controlnet_guidance_start, unit.ad_controlnet_guidance_end
    if start > end:
        message = _("ad_controlnet_guidance_start must not be greater than ad_controlnet_guidance_end")
        raise InvalidUnit((index, "ad_controlnet_guidance_start"), message)
    return (
        ControlUnit(
            model=file.name,
            module=_module(index, unit.ad_controlnet_module, f"{name} {file.name}".lower()),
            weight=unit.ad_controlnet_weight,
            guidance_start=start,
            guidance_end=end,
            pixel_perfect=True,
            return_map=False,
        ),
    )


def _module(index: int, name: str, model: str) -> str:
    path = (index, "ad_controlnet_module")
    if name in NO_MODEL:
        name = next((module for part, module in MODULES.items() if part in model), "none")
    module = preprocessor_catalog.find(name)
    if module is None:
        raise InvalidUnit(path, _("unknown preprocessor %(name)s") % {"name": name[:MAX_NAME_LENGTH]})
    if module.refused:
        words = {"name": name, "reason": module.refused}
        raise InvalidUnit(path, _("%(name)s is not supported: %(reason)s") % words)
    return module.name
