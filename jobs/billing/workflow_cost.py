"""Cost of a ComfyUI job: what its template declares, else steps, megapixels and frames of the request or of the graph.

The price of a finished image is the estimate of one image, whichever sampler drew it; an interrupted image costs the
share of its steps that was run, and one from ComfyUI's cache the share that the template declares.
"""

from __future__ import annotations

from decimal import Decimal

from gpu_runner.protocol import Done, GenerationRequest
from gpu_runner.protocol.step_count import count_evaluations
from gpu_runner.protocol.workflows.slots import filled_slots
from gpu_runner.protocol.workflows.work import GraphWork, work_of
from models_registry.models import WorkflowTemplate

from . import cost


def planned(request: GenerationRequest, template: WorkflowTemplate, multiplier: float) -> tuple[int, Decimal]:
    """Steps over all images, and the estimate. A template with a price per second reserves its longest time."""
    steps, work = _work_per_image(request, template)
    total = max(1, steps * request.num_images)
    if template.cost_per_second is not None:
        seconds = Decimal(str(template.cost_max_seconds or 0))
        return total, cost.rounded(template.cost_per_second * seconds * request.num_images)
    factor = Decimal(str(template.cost_factor)) * Decimal(str(multiplier))
    return total, cost.rounded(work * request.num_images / 1_000_000 * factor)


def _work_per_image(request: GenerationRequest, template: WorkflowTemplate) -> tuple[int, Decimal]:
    """Steps of one image or video, and steps times pixels times frames."""
    workflow = template.workflow()
    filled = filled_slots(workflow, request)
    graph = work_of(workflow, filled)
    steps, work = _work_per_frame(request, template, graph)
    requested = request.video.frames if request.video and "video.frames" in filled else None
    return steps, work * (template.cost_frames or requested or graph.frames)


def _work_per_frame(
    request: GenerationRequest, template: WorkflowTemplate, graph: GraphWork
) -> tuple[int, Decimal]:
    steps = template.cost_steps or graph.steps
    pixels = int(template.cost_megapixels * 1_000_000) if template.cost_megapixels else graph.pixels
    images = 1 if template.cost_megapixels else graph.images
    passes = count_evaluations(request)
    if steps is None and pixels is None:
        evaluations = sum(one.evaluations for one in passes)
        return evaluations, Decimal(sum(one.evaluations * one.pixels for one in passes) * images)
    if steps is None:
        steps = sum(one.evaluations for one in passes)
    return steps, Decimal(steps * (pixels or passes[0].pixels) * images)


def settled(
    estimated: Decimal, request: GenerationRequest, template: WorkflowTemplate, work: Done
) -> Decimal | None:
    """Final cost, at most the estimate. None: the adapter did not tell what it has drawn."""
    if work.images_drawn is None:
        return None
    if template.cost_per_second is not None:
        due = cost.rounded(template.cost_per_second * Decimal(str(work.device_seconds)))
    else:
        images = work.images_drawn + work.images_cached * template.cached_share
        due = cost.rounded(estimated * Decimal(str(images)) / request.num_images)
    return min(due, estimated)
