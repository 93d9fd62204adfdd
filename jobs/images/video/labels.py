"""Visible labels of videos, and what stands against them. Every frame has the label."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.video.media_types import ANIMATED
from gpu_runner.protocol.workflows.template import Workflow
from jobs.errors import Refused, Unsupported
from jobs.images.labels import explicit

from . import recoding

# Output nodes whose files Pillow can read and write, so that a label can be drawn in any installation.
ANIMATION_NODES = frozenset({"SaveAnimatedWEBP", "SaveAnimatedPNG"})
ANIMATION_FORMATS = frozenset({"image/gif", "image/webp"})  # of VHS_VideoCombine


def refusals(source: BusinessSource, request: GenerationRequest, workflow: Workflow) -> Iterator[Refused]:
    """Yield the reason why a required label cannot be drawn on the videos of a workflow here."""
    if request.video is None or recoding.is_available():
        return
    containers = [node for node in workflow.output_nodes if not _saves_animations(workflow, node)]
    if containers and explicit.letterings(source, request, request.labels):
        node = workflow.graph[containers[0]].class_type
        message = _(
            "The videos of this source must have a visible label, which cannot be drawn on the files of %(node)s here: the"
            " package av is not installed."
        )
        yield Unsupported(message % {"node": node}, field="video", code="label_not_possible")


def _saves_animations(workflow: Workflow, key: str) -> bool:
    node = workflow.graph[key]
    return node.class_type in ANIMATION_NODES or node.inputs.get("format") in ANIMATION_FORMATS


def can_be_drawn(media_type: str) -> bool:
    """Whether labels can be drawn on the frames of a file of this type here."""
    return media_type in ANIMATED or recoding.is_available()
