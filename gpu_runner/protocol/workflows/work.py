"""Work that a template does of itself: steps and pixels for which it has no slots."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, NamedTuple

from .template import Workflow, is_link

MAX_LINKS = 8  # to follow from a sampler to the number of its steps
BATCH_INPUTS = ("batch_size", "amount")
STEP_INPUTS = ("steps", "value", "int", "number")
FRAMES_INPUTS = ("length", "num_frames", "video_frames", "frames")
FPS_INPUTS = ("fps", "frame_rate")


class GraphWork(NamedTuple):
    """Steps and pixels of one image, images of one prompt, and frames of a video. None: those of the request."""

    steps: int | None
    pixels: int | None
    images: int = 1
    frames: int = 1


def work_of(workflow: Workflow, filled: Container[str]) -> GraphWork:
    """Return the work per image, read from the constants of the graph where the request fills in no slot."""
    return GraphWork(
        _steps(workflow, filled), _pixels(workflow, filled), _images(workflow), _frames(workflow)
    )


def _images(workflow: Workflow) -> int:
    """Images that the graph draws for each that is requested: the batch of its latent, unless a slot fills it in."""
    if "batch_size" in workflow.slots:
        return 1
    sizes = [
        size
        for node in workflow.graph.values()
        for name in BATCH_INPUTS
        if "Latent" in node.class_type and type(size := node.inputs.get(name)) is int
    ]
    return max(1, *sizes) if sizes else 1


def _steps(workflow: Workflow, filled: Container[str]) -> int | None:
    if "num_inference_steps" in filled:
        return None
    graph = {key: node.model_dump() for key, node in workflow.graph.items()}
    constants = [node["inputs"].get("steps") for node in graph.values() if "steps" in node["inputs"]]
    counts = [count for value in constants if (count := number(graph, value))]
    return sum(counts) or 1


def _pixels(workflow: Workflow, filled: Container[str]) -> int | None:
    if "width" in filled or "height" in filled or "init_images" in filled:
        return None
    for node in workflow.graph.values():
        width, height = node.inputs.get("width"), node.inputs.get("height")
        if "Latent" in node.class_type and type(width) is int and type(height) is int:
            return width * height
    return None


def _frames(workflow: Workflow) -> int:
    """Frames of one result, without a request: those of the graph's latent; 1 for images and where it cannot be read."""
    if workflow.output != "video":
        return 1
    graph = {key: node.model_dump() for key, node in workflow.graph.items()}
    counts = [
        number(graph, inputs[name])
        for node in graph.values()
        for name in FRAMES_INPUTS
        if name in (inputs := node["inputs"])
    ]
    if not any(counts):  # a batch of images that become frames
        counts = [number(graph, node["inputs"].get("batch_size")) for node in graph.values()]
    return max(1, *(count or 1 for count in counts))


def number(graph: dict[str, dict[str, Any]], value: Any, links: int = MAX_LINKS) -> int | None:
    """Return an integer input, also where it is linked to a node that holds it; None if it cannot be read."""
    if type(value) is int:
        return value
    if not is_link(value) or links == 0 or value[0] not in graph:
        return None
    inputs = graph[value[0]].get("inputs", {})
    found = (number(graph, inputs[name], links - 1) for name in STEP_INPUTS if name in inputs)
    return next((count for count in found if count is not None), None)


def steps_of_sampler(graph: dict[str, dict[str, Any]], key: str, links: int = MAX_LINKS) -> int | None:
    """Return the steps of a sampler node: its own, or those of the node that gives its sigmas."""
    inputs = graph[key].get("inputs", {})
    if "steps" in inputs:
        return number(graph, inputs["steps"])
    sources = [value[0] for name, value in inputs.items() if "sigmas" in name and is_link(value)]
    if not sources or links == 0 or sources[0] not in graph:
        return None
    return steps_of_sampler(graph, sources[0], links - 1)
