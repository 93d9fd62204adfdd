"""Tools that a workflow template of ComfyUI executes: the vendor's page for Flux."""

from __future__ import annotations

from typing import Annotated, Any

from django.utils.translation import gettext as _
from pydantic import Field

from access.models import BusinessSource
from dialects.zhiqite import field_names
from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.errors import WireError
from dialects.zhiqite.request import common
from dialects.zhiqite.request.fields_v2 import OutputFormat
from dialects.zhiqite.request.input_images import InputImages
from dialects.zhiqite.request.json_body import MAX_NAME, MAX_PROMPT, Seed
from gpu_runner.protocol.request_parts.values import Side, Steps
from jobs.admission.workflows.routing import template_by_rule
from models_registry.models import WorkflowTemplate

from .base import TOOL, Tool

TEXT_TO_IMAGE = "comfyui/text2image"
FLUX_GUIDANCE = 3.5
SLOTS = {
    "width": "width",
    "height": "height",
    "steps": "num_inference_steps",
    "fluxGuidance": "guidance_scale",
    "seed": "seed",
}


class ComfyTextToImage(Tool):
    """Text to image by the workflow template that a rule names for ``comfyTaskType``.

    A value that is not sent is that of the template; one that the template has no slot for is refused.
    """

    wire_names = field_names.WORKFLOW
    has_seed = True

    comfyTaskType: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    prompt: Annotated[str, Field(min_length=1, max_length=MAX_PROMPT)]
    width: Side | None = None
    height: Side | None = None
    steps: Steps | None = None
    fluxGuidance: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    seed: Seed = -1
    targetImageFormat: OutputFormat = "png"

    @property
    def styles(self) -> tuple[str, ...]:
        return (self.comfyTaskType,)

    def request_fields(self, source: BusinessSource, inputs: InputImages) -> dict[str, Any]:
        slots = self._template(source).slots
        for field, slot in SLOTS.items():
            if field in self.model_fields_set and slot not in slots:
                values = {"field": field, "name": self.comfyTaskType}
                raise WireError(_("%(field)s: the workflow of %(name)s does not support it") % values)
        given = {slot: getattr(self, field) for field, slot in SLOTS.items() if slot in slots}
        given = {"guidance_scale": FLUX_GUIDANCE} | {
            slot: value for slot, value in given.items() if value is not None
        }
        if "seed" in given:
            given["seed"] = common.seed(self.seed)
        return {"prompt": self.prompt, **{slot: given[slot] for slot in given if slot in slots}}

    def _template(self, source: BusinessSource) -> WorkflowTemplate:
        template = template_by_rule(DIALECT, TOOL + TEXT_TO_IMAGE, self.styles, source)
        if template is None:
            message = _(
                "comfyTaskType: no workflow template is assigned to %(name)s. An operator can add a template for"
                " ComfyUI, and a rule with the style %(name)s or the operation %(operation)s."
            )
            raise WireError(
                message % {"name": self.comfyTaskType, "operation": TOOL + TEXT_TO_IMAGE}, status=501
            )
        return template
