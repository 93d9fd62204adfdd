"""Purpose of the workflow for a request, if no routing rule names a workflow."""

from __future__ import annotations

from gpu_runner.protocol.catalogs import upscalers as upscaler_catalog
from gpu_runner.protocol.generation_request import GenerationRequest


def purpose_of(request: GenerationRequest) -> str:
    """Return the purpose: the task, or "edit", "inpaint", "hires", "hires_upscaler", "txt2video" or "img2video"."""
    if request.video:
        return "img2video" if request.init_images or request.images else "txt2video"
    if request.images:
        return "edit"
    if request.task == "img2img" and request.inpaint:
        return "inpaint"
    if request.task == "txt2img" and request.hires:
        return "hires_upscaler" if upscaler_catalog.file_of(request.hires.upscaler) else "hires"
    return request.task


def purposes_of(request: GenerationRequest) -> set[str]:
    """Return all purposes by which a rule can name the request: hires with an upscaler is hires, too."""
    purposes = {purpose_of(request)}
    if request.video:
        purposes.add("video")
    if request.image_guidance_scale is not None:
        purposes.add("edit")
    if request.hires:
        purposes.add("hires")
    if request.controls:
        purposes.add("controlnet")
    return purposes
