"""Defaults of the checkpoint, for the fields that a request does not send or sends as null."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.admission.model_choice.defaults import ModelDefaults

FIELDS = {
    "steps": "num_inference_steps",
    "cfg_scale": "guidance_scale",
    "width": "width",
    "height": "height",
    "negative_prompt": "negative_prompt",
    "sampler_name": "sampler",
    "sampler_index": "sampler",
    "scheduler": "scheduler",
}
FILLED = ("steps", "cfg_scale", "width", "height", "negative_prompt", "sampler_name", "scheduler")


def fill_model_defaults(parameters: dict[str, Any], body: Mapping[str, Any], defaults: ModelDefaults) -> None:
    """Replace A1111's defaults in ``parameters`` by those of the checkpoint, which the response then shows."""
    named = {field for name, field in FIELDS.items() if body.get(name) is not None}
    values = defaults.fields(named)
    parameters |= {name: values[FIELDS[name]] for name in FILLED if FIELDS[name] in values}
