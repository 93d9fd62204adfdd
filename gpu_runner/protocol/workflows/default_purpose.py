"""Purpose of the workflow for a request, if no routing rule names a workflow."""

from __future__ import annotations

from gpu_runner.protocol import upscaler_catalog
from gpu_runner.protocol.generation_request import GenerationRequest


def purpose_of(request: GenerationRequest) -> str:
    """Return the purpose: the task, or "inpaint", "hires" or "hires_upscaler"."""
    if request.task == "img2img" and request.inpaint:
        return "inpaint"
    if request.task == "txt2img" and request.hires:
        return "hires_upscaler" if upscaler_catalog.file_of(request.hires.upscaler) else "hires"
    return request.task
