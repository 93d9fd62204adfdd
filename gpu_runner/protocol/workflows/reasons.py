"""Reasons why a template does not support a field: messages with values, so that the platform can translate them."""

from __future__ import annotations

from typing import Any, NamedTuple

NO_SLOT = "not supported by the workflow %(workflow)s"
REQUIRED = "required by the workflow %(workflow)s"
NOT_ON_COMFYUI = "not supported on ComfyUI runners"
REQUIRED_ON_COMFYUI = "required on ComfyUI runners"
NAME_NOT_ON_COMFYUI = "%(name)s is not supported on ComfyUI runners"
NAME_NOT_OF_WORKFLOW = "%(name)s is not supported by the workflow %(workflow)s"
NO_MODEL_FOR_MASK = "required on ComfyUI runners, which have no %(model)s"
NOT_ALLOWED = "must be %(allowed)s on ComfyUI runners (got %(got)s)"
NO_SAMPLER = "ComfyUI has no equivalent of the sampler %(name)s"
NO_SCHEDULER = "ComfyUI has no equivalent of the scheduler %(name)s"
PROMPT_SYNTAX = "ComfyUI's prompt syntax does not support %(what)s"
IMAGE_COUNT = "the workflow %(workflow)s takes %(allowed)s images (got %(count)d)"
MAKES_IMAGES = "the workflow %(workflow)s makes images"
MESSAGES = (
    NO_SLOT,
    REQUIRED,
    NOT_ON_COMFYUI,
    REQUIRED_ON_COMFYUI,
    NAME_NOT_ON_COMFYUI,
    NAME_NOT_OF_WORKFLOW,
    NO_MODEL_FOR_MASK,
    NOT_ALLOWED,
    NO_SAMPLER,
    NO_SCHEDULER,
    PROMPT_SYNTAX,
    IMAGE_COUNT,
    MAKES_IMAGES,
)


class UnsupportedField(NamedTuple):
    """A field, and the reason: one of ``MESSAGES`` with its values, all safe to show to clients."""

    field: str
    message: str
    values: dict[str, Any] = {}  # never changed

    @property
    def why(self) -> str:
        return self.message % self.values
