"""Workflow template: a ComfyUI graph, and the node inputs and outputs that its slots refer to."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Annotated, Any, Literal, NamedTuple, TypeGuard

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gpu_runner.protocol.request_parts.values import StrictModel

FILENAME_PREFIX = "filename_prefix"  # of the nodes that save the images of the job
EXTRAS = "extras"  # the same input of nodes that save further images
# Output nodes that have no file name: a temporary file, and a message of the progress socket.
PREVIEW_NODE, SOCKET_NODE = "PreviewImage", "SaveImageWebsocket"
UNNAMED_OUTPUTS = (PREVIEW_NODE, SOCKET_NODE)
VIDEO_NODES = frozenset({"SaveAnimatedWEBP", "SaveAnimatedPNG", "SaveWEBM", "SaveVideo", "VHS_VideoCombine"})

Text = Annotated[str, Field(min_length=1, max_length=200)]


class Target(NamedTuple):
    """Target of a slot: ``NODE.INPUT``, an input that takes a value, or ``NODE:OUTPUT``, an output of a node."""

    node: str
    input: str = ""
    output: int = -1

    @classmethod
    def read(cls, text: str, nodes: Container[str] = ()) -> Target:
        """Parse a target. Raises ValueError.

        An input may contain dots (``20.resize_type.width``). The node is the shortest beginning that is one of
        ``nodes``, or else ends at the first dot.
        """
        dots = [place for place, mark in enumerate(text) if mark == "." and 0 < place < len(text) - 1]
        if dots:
            dot = next((place for place in dots if text[:place] in nodes), dots[0])
            return cls(text[:dot], input=text[dot + 1 :])
        node, colon, number = text.rpartition(":")
        if colon and node and number.isdecimal() and len(number) < 4:
            return cls(node, output=int(number))
        raise ValueError(f"a slot must name NODE.INPUT or NODE:OUTPUT (got {text!r})")


class Node(BaseModel):
    """Node of a graph in API format. Editor metadata (``_meta``) is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    class_type: Text
    inputs: dict[str, Any] = {}


class Workflow(StrictModel):
    """A graph as exported by ComfyUI's *Export (API)*, and its slots: request field -> targets in the graph."""

    name: Text
    graph: dict[Text, Node] = Field(min_length=1, max_length=500)
    slots: dict[Text, tuple[Text, ...]] = Field(max_length=100)
    # Slots that keep the graph's value where the request has its default.
    if_asked: tuple[Text, ...] = Field(default=(), max_length=100)
    output: Literal["image", "video"] = "image"

    @field_validator("slots", mode="before")
    @classmethod
    def wrap_single_target(cls, slots: Any) -> Any:
        if not isinstance(slots, dict):
            return slots
        return {name: [targets] if isinstance(targets, str) else targets for name, targets in slots.items()}

    def targets(self, slot: str) -> list[Target]:
        """Return the targets of a slot; empty if the template does not have it."""
        return [Target.read(text, self.graph) for text in self.slots.get(slot, ())]

    @property
    def output_nodes(self) -> list[str]:
        """Keys of the nodes whose images or videos are those of the job, in their order.

        Without the slot ``filename_prefix``, they are the nodes that hand out images without a file name.
        """
        named = [target.node for target in self.targets(FILENAME_PREFIX)]
        return named or [key for key, node in self.graph.items() if node.class_type in UNNAMED_OUTPUTS]

    @property
    def extra_nodes(self) -> list[str]:
        """Keys of the nodes whose images are stored beside those of the job."""
        return [target.node for target in self.targets(EXTRAS)]

    @property
    def max_images(self) -> int:
        """Number of images that the template takes as references."""
        return sum(slot.startswith("images[") for slot in self.slots)

    @property
    def min_images(self) -> int:
        """Number of references without which it cannot draw."""
        return sum(slot.startswith("images[") and slot not in self.if_asked for slot in self.slots)

    @property
    def classes(self) -> set[str]:
        """Node classes of the graph."""
        return {node.class_type for node in self.graph.values()}


def image_slot(number: int) -> str:
    """Return the slot of the image with this number, from 0."""
    return f"images[{number}]"


def links(inputs: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Yield (input name, node, output index) for every linked input."""
    for name, value in inputs.items():
        if is_link(value):
            yield name, value[0], value[1]


def is_link(value: Any) -> TypeGuard[list[Any]]:
    """Whether an input value is a link: ``[node, output index]``."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int
