"""Infotext fields of a ComfyUI job: its template and the files that drew, and no value that the template ignored."""

from __future__ import annotations

from pathlib import PurePosixPath

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.workflows.slots import filled_slots
from models_registry.models import WorkflowTemplate

SLOTS_BY_FIELD = {
    "Steps": ("num_inference_steps",),
    "Sampler": ("sampler",),
    "Schedule type": ("scheduler", "sampler"),
    "CFG scale": ("guidance_scale",),
    "Seed": ("seed",),
    "Clip skip": ("clip_skip",),
    "Size": ("width", "init_images"),
    "Denoising strength": ("strength",),
}


def pairs(template: WorkflowTemplate | None, request: GenerationRequest) -> dict[str, object]:
    """Changes to the fields of a request. None removes a field."""
    if template is None:
        return {}
    filled = filled_slots(template.workflow(), request)
    changes: dict[str, object] = {
        field: None for field, slots in SLOTS_BY_FIELD.items() if not any(slot in filled for slot in slots)
    }
    needs = template.needs
    changes["Workflow"] = template.name
    main = needs.main_file
    others = [PurePosixPath(use.file.replace("\\", "/")).name for use in needs.files if use != main]
    if main is not None and "checkpoint" not in template.slots:
        changes["Model"] = PurePosixPath(main.file.replace("\\", "/")).stem
    changes["Workflow files"] = ", ".join(dict.fromkeys(others)) or None
    return changes
