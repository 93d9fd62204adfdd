"""Slots that a template can have, named after request fields, and validation of a template without a server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import ValidationError

from gpu_runner.protocol.generation_request import MAX_REFERENCES, GenerationRequest

from .template import (
    EXTRAS,
    FILENAME_PREFIX,
    UNNAMED_OUTPUTS,
    VIDEO_NODES,
    Target,
    Workflow,
    image_slot,
    links,
)

Kind = Literal["value", "output", "pair"]

VALUES = (
    "checkpoint",
    "prompt",
    "negative_prompt",
    "seed",
    "num_inference_steps",
    "guidance_scale",
    "sampler",
    "scheduler",
    "strength",
    "width",
    "height",
    "clip_skip",
    "batch_size",
    "init_images",
    "inpaint.mask",
    "hires.width",
    "hires.height",
    "hires.num_inference_steps",
    "hires.strength",
    "hires.upscaler",
    "hires.sampler",
    "hires.scheduler",
    "video.frames",
    "video.fps",
    FILENAME_PREFIX,
    EXTRAS,
)
# The images of a request, one slot each.
IMAGES = tuple(image_slot(number) for number in range(MAX_REFERENCES))
# The adapter inserts nodes here: after the model and CLIP outputs, after a VAE output, and before conditioning inputs.
LORAS, VAE, CONTROLS = "loras", "vae", "controls"
SLOTS = (*VALUES, *IMAGES, LORAS, VAE, CONTROLS)
# As messages and documentation write them.
SHOWN_SLOTS = (*VALUES, "images[0], images[1], …", LORAS, VAE, CONTROLS)


EDITOR_FORMAT = (
    "graph: this is a workflow as the editor saves it. In ComfyUI, use the menu item Workflow, Export (API), and paste"
    " that file"
)
# Slots whose request field has a default, so that it can be seen whether a client asks for another value.
WITH_DEFAULT = frozenset(
    {
        "checkpoint",
        "negative_prompt",
        "num_inference_steps",
        "guidance_scale",
        "sampler",
        "scheduler",
        "strength",
        "width",
        "height",
        "clip_skip",
    }
)


def unwrapped(graph: Any) -> Any:
    """Return the graph of a body of ``POST /prompt``, which has it under ``prompt``; other values as they are."""
    inner = graph.get("prompt") if isinstance(graph, dict) else None
    if isinstance(inner, dict) and "class_type" not in graph["prompt"] and "inputs" not in graph["prompt"]:
        return inner
    return graph


def read(name: str, graph: Any, slots: Any, if_asked: Any = (), output: Any = "image") -> Workflow:
    """Parse and validate a template. Raises ValueError with a message for operators."""
    if isinstance(graph, dict) and isinstance(graph.get("nodes"), list):
        raise ValueError(EDITOR_FORMAT)
    try:
        workflow = Workflow(name=name, graph=graph, slots=slots, if_asked=if_asked, output=output)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if problem := next(problems(workflow), None):
        raise ValueError(problem)
    return workflow


def filled_slots(workflow: Workflow, request: GenerationRequest) -> set[str]:
    """Return the slots that the request fills in; the others keep the value of the graph.

    Slots of images that are not sent are not filled; ``optional_images`` takes their nodes out of the graph.
    """
    fields = GenerationRequest.model_fields
    unasked = {
        slot
        for slot in workflow.if_asked
        if slot in fields and getattr(request, slot) == fields[slot].get_default(call_default_factory=True)
    }
    video = request.video
    if video is None or video.frames is None:
        unasked.add("video.frames")
    if video is None or video.fps is None:
        unasked.add("video.fps")
    return workflow.slots.keys() - unasked - set(IMAGES[len(request.images) :])


def problems(workflow: Workflow) -> Iterator[str]:
    """Yield the problems of a template that can be found without a server."""
    yield from _broken_links(workflow)
    for slot in workflow.slots:
        if slot not in SLOTS:
            yield f"unknown slot {slot}; slots are {', '.join(SHOWN_SLOTS)}"
        else:
            yield from _target_problems(workflow, slot)
    for slot in workflow.if_asked:
        if slot not in workflow.slots or slot not in WITH_DEFAULT.union(IMAGES):
            names = ", ".join([*sorted(WITH_DEFAULT), "images[1]"])
            yield f"if_asked: {slot} must be one of the template's slots, such as {names}"
    if not workflow.output_nodes:
        yield (
            f"the slot {FILENAME_PREFIX} must name the input of the node that saves the image; only a graph with a node"
            f" {' or '.join(UNNAMED_OUTPUTS)} does not need it"
        )
    yield from _image_problems(workflow)
    yield from _output_problems(workflow)


def _image_problems(workflow: Workflow) -> Iterator[str]:
    used = [slot for slot in IMAGES if slot in workflow.slots]
    if used != list(IMAGES[: len(used)]):
        yield f"slot {used[0]}: the slots of images must be numbered from images[0] without a gap"
    required = [slot for slot in used if slot not in workflow.if_asked]
    if required != used[: len(required)]:
        yield f"if_asked: {required[-1]} is required, so the images before it are, too"


def _output_problems(workflow: Workflow) -> Iterator[str]:
    nodes = workflow.output_nodes + workflow.extra_nodes
    if repeated := next((node for node in nodes if nodes.count(node) > 1), None):
        yield f"slot {FILENAME_PREFIX}: node {repeated} is named twice among the nodes that save images"
    videos = [node for node in workflow.output_nodes if _saves_videos(workflow, node)]
    if videos and workflow.output == "image":
        yield f"output: node {videos[0]} saves videos, so that the output must be video"


def _saves_videos(workflow: Workflow, node: str) -> bool:
    return node in workflow.graph and workflow.graph[node].class_type in VIDEO_NODES


def _broken_links(workflow: Workflow) -> Iterator[str]:
    for key, node in workflow.graph.items():
        for name, target, _output in links(node.inputs):
            if target not in workflow.graph:
                yield f"node {key}: the input {name} is linked to node {target}, which does not exist"


def _target_problems(workflow: Workflow, slot: str) -> Iterator[str]:
    wants_output = slot in (LORAS, VAE)
    for text in workflow.slots[slot]:
        try:
            target = Target.read(text, workflow.graph)
        except ValueError as error:
            yield f"slot {slot}: {error}"
            continue
        if target.node not in workflow.graph:
            yield f"slot {slot}: node {target.node} does not exist"
        elif bool(target.input) == wants_output:
            yield f"slot {slot}: {text} must be {'NODE:OUTPUT' if wants_output else 'NODE.INPUT'}"
        elif target.input and target.input not in workflow.graph[target.node].inputs:
            yield f"slot {slot}: node {target.node} has no input {target.input}{_hint(workflow, slot, target)}"
        elif slot in (FILENAME_PREFIX, EXTRAS) and not isinstance(
            workflow.graph[target.node].inputs[target.input], str
        ):
            yield f"slot {slot}: {text} must be the text input of the node that saves the image"
    count = len(workflow.slots[slot])
    if (slot == LORAS and count != 2) or (slot == VAE and count != 1) or (slot == CONTROLS and count % 2):
        yield f"slot {slot} must name {EXPECTED_TARGETS[slot]}"
    if count == 0:
        yield f"slot {slot} must name at least one target"


def _hint(workflow: Workflow, slot: str, target: Target) -> str:
    class_type = workflow.graph[target.node].class_type
    if slot in (FILENAME_PREFIX, EXTRAS) and class_type in UNNAMED_OUTPUTS:
        return f": {class_type} has no file name; leave the slot out, or use the node SaveImage"
    return ""


EXPECTED_TARGETS = {
    LORAS: "two outputs, of the model and of the text encoder",
    VAE: "one output, of the VAE",
    CONTROLS: "pairs of inputs, positive and negative",
}
