"""Infotext fields of ControlNet units, as A1111's ControlNet extension writes them."""

from __future__ import annotations

from gpu_runner.protocol import GenerationRequest, ModelName
from gpu_runner.protocol.catalogs import preprocessors as preprocessor_catalog
from gpu_runner.protocol.request_parts.control import ControlUnit
from jobs.models import Job
from models_registry.models import control_title

RESIZE_MODES = {"stretch": "Just Resize", "crop": "Crop and Resize", "fill": "Resize and Fill"}
CONTROL_MODES = {
    "balanced": "Balanced",
    "prompt": "My prompt is more important",
    "control": "ControlNet is more important",
}


def control_parameters(job: Job, request: GenerationRequest) -> dict[str, object]:
    return {f"ControlNet {index}": _unit(job, unit) for index, unit in enumerate(request.controls)}


def _unit(job: Job, unit: ControlUnit) -> str:
    parts = {
        "Module": unit.module,
        "Model": _model(job, unit),
        "Weight": unit.weight,
        "Resize Mode": RESIZE_MODES[unit.resize_mode],
        **_sliders(unit),
        "Guidance Start": unit.guidance_start,
        "Guidance End": unit.guidance_end,
        "Pixel Perfect": unit.pixel_perfect,
        "Control Mode": CONTROL_MODES[unit.control_mode],
    }
    return ", ".join(f"{name}: {value}" for name, value in parts.items())


def _model(job: Job, unit: ControlUnit) -> str:
    file = job.files.get(ModelName("controlnet", unit.model).key)
    return control_title(file["path"], file.get("legacy_hash") or file["sha256"][:8]) if file else "None"


def _sliders(unit: ControlUnit) -> dict[str, float]:
    """Preprocessor settings that the module has, with the values used."""
    module = preprocessor_catalog.find(unit.module)
    if module is None:
        return {}
    settings = module.settings(unit.processor_res, unit.threshold_a, unit.threshold_b)
    values = {"Processor Res": settings.resolution} if module.resolution else {}
    thresholds = zip(("Threshold A", "Threshold B"), (settings.a, settings.b), strict=True)
    return values | {name: float(value) for (name, value), _ in zip(thresholds, module.sliders, strict=False)}
