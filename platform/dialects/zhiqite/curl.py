"""Render a job of this dialect as a curl command that repeats its request with a new task id, no callback."""

from __future__ import annotations

from typing import Any

from jobs.curl_export import CHECKPOINT, EXAMPLE_PROMPT, Context, Example, command
from jobs.models import Backend

from .authentication import KEY_ID, SECRET
from .request.fields_v2 import CONTROL_MODES, UNIT_RESIZE_MODES
from .request.submission_v3 import BO, BODIES
from .request.tools.base import TOOL
from .request.tools.catalog import TOOLS

CREDENTIALS = (f'-H "{KEY_ID}: $KEY_ID"', f'-H "{SECRET}: $SECRET"')
CALLBACK = "callbackUrl"
UNIT_CHOICES = {"resize_mode": UNIT_RESIZE_MODES, "control_mode": CONTROL_MODES}
EXAMPLE = Example(
    "v2/text2image", {"prompt": EXAMPLE_PROMPT, "alwayson_scripts": {"sd_model_checkpoint": CHECKPOINT}}
)


def curl(context: Context) -> str:
    job = context.job
    body = {name: value for name, value in job.received.items() if name != CALLBACK}
    new_id = f"again-{job.pk}"
    if job.backend == Backend.TRAINING:
        path, has_seed = job.operation, True
        body["taskId"] = new_id
    elif job.operation.startswith(TOOL):
        # A workflow template may have no place for a seed; then the request has none.
        known_seed = "seed" in body or context.request.seed != 0
        path, has_seed = job.operation, TOOLS[job.operation.removeprefix(TOOL)].has_seed and known_seed
        body["businessTaskId"] = new_id
    elif job.operation in BODIES:
        path, has_seed = f"sd/{job.operation}", True
        body[BO] = body[BO] | {"businessTaskId": new_id}
        body["subSeed"] = context.request.subseed
    else:
        path, has_seed = f"sd/{job.operation}", True
        body["alwayson_scripts"] = _scripts(body["alwayson_scripts"]) | {"id_task": new_id}
    if has_seed:
        body["seed"] = context.request.seed
    return command(f"{context.base_url}/AIGCImgOpenServ/saas/{path}", *CREDENTIALS, body=body)


def _scripts(scripts: dict[str, Any]) -> dict[str, Any]:
    if "controlnet" not in scripts:
        return scripts
    units = [_unit(unit) for unit in scripts["controlnet"].get("args", ())]
    return scripts | {"controlnet": {"args": units}}


def _unit(unit: dict[str, Any]) -> dict[str, Any]:
    """Convert canonical values of a control unit back to the names of the wire format."""
    names = {
        name: next(wire_name for wire_name, canonical in choices.items() if canonical == unit[name])
        for name, choices in UNIT_CHOICES.items()
        if name in unit
    }
    return unit | names
