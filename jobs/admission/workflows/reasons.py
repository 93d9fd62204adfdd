"""Reasons why a workflow template does not support a field, in the language of the client."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from gpu_runner.protocol.workflows.reasons import UnsupportedField

# Marked for translation here, because the package of the messages has no Django.
MESSAGES = (
    gettext_noop("not supported by the workflow %(workflow)s"),
    gettext_noop("required by the workflow %(workflow)s"),
    gettext_noop("not supported on ComfyUI runners"),
    gettext_noop("required on ComfyUI runners"),
    gettext_noop("%(name)s is not supported on ComfyUI runners"),
    gettext_noop("%(name)s is not supported by the workflow %(workflow)s"),
    gettext_noop("required on ComfyUI runners, which have no %(model)s"),
    gettext_noop("must be %(allowed)s on ComfyUI runners (got %(got)s)"),
    gettext_noop("ComfyUI has no equivalent of the sampler %(name)s"),
    gettext_noop("ComfyUI has no equivalent of the scheduler %(name)s"),
    gettext_noop("ComfyUI's prompt syntax does not support %(what)s"),
    gettext_noop("the workflow %(workflow)s makes images"),
    gettext_noop("the workflow %(workflow)s takes %(allowed)s images (got %(count)d)"),
)


def why(found: UnsupportedField) -> str:
    return _(found.message) % found.values
