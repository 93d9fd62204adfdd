"""The slots that a template can have, by the names of the request's fields, and what is wrong with a template on paper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import ValidationError

from .template import FILENAME_PREFIX, Place, Workflow, links

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
    "init_images",
    "inpaint.mask",
    "hires.width",
    "hires.height",
    "hires.num_inference_steps",
    "hires.strength",
    "hires.upscaler",
    "hires.sampler",
    "hires.scheduler",
    FILENAME_PREFIX,
)
# The adapter puts nodes of its own in there: behind two outputs, behind one, and before pairs of inputs.
LORAS, VAE, CONTROLS = "loras", "vae", "controls"
SLOTS = (*VALUES, LORAS, VAE, CONTROLS)


def read(name: str, graph: Any, slots: Any) -> Workflow:
    """Raises ValueError with a sentence for ops."""
    try:
        workflow = Workflow(name=name, graph=graph, slots=slots)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if problem := next(problems(workflow), None):
        raise ValueError(problem)
    return workflow


def problems(workflow: Workflow) -> Iterator[str]:
    """What can be told without a server."""
    yield from _broken_links(workflow)
    for slot in workflow.slots:
        if slot not in SLOTS:
            yield f"{slot} is not a slot; there are {', '.join(SLOTS)}"
        else:
            yield from _wrong_places(workflow, slot)
    if len(workflow.slots.get(FILENAME_PREFIX, ())) != 1:
        yield f"the slot {FILENAME_PREFIX} must name one input: that of the node that saves the pictures"


def _broken_links(workflow: Workflow) -> Iterator[str]:
    for key, node in workflow.graph.items():
        for name, target, _output in links(node.inputs):
            if target not in workflow.graph:
                yield f"node {key}: its input {name} is linked to node {target}, which is missing"


def _wrong_places(workflow: Workflow, slot: str) -> Iterator[str]:
    wants_output = slot in (LORAS, VAE)
    for text in workflow.slots[slot]:
        try:
            place = Place.read(text)
        except ValueError as error:
            yield f"slot {slot}: {error}"
            continue
        if place.node not in workflow.graph:
            yield f"slot {slot}: there is no node {place.node}"
        elif bool(place.input) == wants_output:
            yield f"slot {slot}: {text} must be {'NODE:OUTPUT' if wants_output else 'NODE.INPUT'}"
        elif place.input and place.input not in workflow.graph[place.node].inputs:
            yield f"slot {slot}: node {place.node} has no input {place.input}"
    count = len(workflow.slots[slot])
    if (slot == LORAS and count != 2) or (slot == VAE and count != 1) or (slot == CONTROLS and count % 2):
        yield f"slot {slot}: {SHAPES[slot]}"
    if count == 0:
        yield f"slot {slot} names no place"


SHAPES = {
    LORAS: "two outputs are wanted, the model's and the text encoder's",
    VAE: "one output is wanted, the VAE's",
    CONTROLS: "inputs are wanted in pairs, positive and negative",
}
