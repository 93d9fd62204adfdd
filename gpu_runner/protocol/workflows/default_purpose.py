"""What a request needs a workflow for, where ops have named none."""

from __future__ import annotations

from gpu_runner.protocol import upscaler_catalog
from gpu_runner.protocol.generation_request import GenerationRequest


def purpose_of(request: GenerationRequest) -> str:
    if request.task == "img2img" and request.inpaint:
        return "inpaint"
    if request.task == "txt2img" and request.hires:
        return "hires_upscaler" if upscaler_catalog.file_of(request.hires.upscaler) else "hires"
    return request.task
