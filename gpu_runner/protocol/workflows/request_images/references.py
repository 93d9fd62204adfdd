"""Requests for a template or model that looks at images: their init images become its references."""

from __future__ import annotations

from collections.abc import Container

from gpu_runner.protocol.generation_request import GenerationRequest
from gpu_runner.protocol.workflows.template import Workflow

# What a request says of drawing over an init image.
OF_INIT_IMAGE = (
    "strength",
    "resize_mode",
    "upscaler",
    "exact_steps",
    "initial_noise_multiplier",
    "colour_correction",
    "keep_texture",
    "image_guidance_scale",
)


def with_references(
    request: GenerationRequest, workflow: Workflow, *, several_inputs: bool = False
) -> GenerationRequest:
    """Return the request with its init image as the first of ``images``, if the template has a slot for that only.

    ``several_inputs``: the init images are not one per image of the job, but belong together if the template takes several.
    """
    sent = tuple(dict.fromkeys(request.init_images))
    if not sent or request.inpaint or request.task != "img2img" or not workflow.max_images:
        return request
    if "init_images" in workflow.slots:
        return request
    if len(sent) > 1 and not several_inputs:
        return request  # one output for each: refused, because the template has no slot for it
    return as_references(request, kept=workflow.slots)


def as_references(request: GenerationRequest, kept: Container[str] = ()) -> GenerationRequest:
    """Return the request with its init images, which belong together, as the first of ``images``.

    What it says of drawing over an init image is left out, but for the fields ``kept``.
    """
    sent = tuple(dict.fromkeys(request.init_images))
    fields = type(request).model_fields
    changes = {
        name: fields[name].get_default(call_default_factory=True)
        for name in OF_INIT_IMAGE
        if name not in kept
    }
    if len(sent) > 1:
        changes |= {"num_images": max(1, request.num_images // len(sent)), "batch_size": 1}
    return request.model_copy(
        update={**changes, "task": "txt2img", "init_images": (), "images": (*sent, *request.images)}
    )
