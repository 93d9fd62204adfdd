"""What a request needs a workflow for, where ops have named none."""

from __future__ import annotations

from typing import Literal

from gpu_runner import upscalers
from gpu_runner.request import GenerationRequest

Purpose = Literal["txt2img", "img2img", "inpaint", "hires", "hires_upscaler", "change_background", "upscale"]


def purpose_of(request: GenerationRequest) -> Purpose:
    if request.task == "img2img" and request.inpaint:
        return "inpaint"
    if request.task == "txt2img" and request.hires:
        return "hires_upscaler" if upscalers.file_of(request.hires.upscaler) else "hires"
    return request.task
