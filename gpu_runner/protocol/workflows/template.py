"""A template and its places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gpu_runner.protocol.generation_request import StrictModel

FILENAME_PREFIX = "filename_prefix"

Text = Annotated[str, Field(min_length=1, max_length=200)]


class Place(NamedTuple):
    """``NODE.INPUT``, where a value goes, or ``NODE:OUTPUT``, what other nodes are linked to."""

    node: str
    input: str = ""
    output: int = -1

    @classmethod
    def read(cls, text: str) -> Place:
        node, dot, name = text.rpartition(".")
        if dot and node and name:
            return cls(node, input=name)
        node, colon, number = text.rpartition(":")
        if colon and node and number.isdecimal() and len(number) < 4:
            return cls(node, output=int(number))
        raise ValueError(f"{text!r} is neither NODE.INPUT nor NODE:OUTPUT")


class Node(BaseModel):
    """What the editor keeps beside it (``_meta``) is not needed."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    class_type: Text
    inputs: dict[str, Any] = {}


class Workflow(StrictModel):
    """A graph as ComfyUI's *Export (API)* writes it, and what of a request goes where in it."""

    name: Text
    graph: dict[Text, Node] = Field(min_length=1, max_length=500)
    slots: dict[Text, tuple[Text, ...]] = Field(max_length=100)

    @field_validator("slots", mode="before")
    @classmethod
    def one_place_needs_no_list(cls, slots: Any) -> Any:
        if not isinstance(slots, dict):
            return slots
        return {name: [places] if isinstance(places, str) else places for name, places in slots.items()}

    def places(self, slot: str) -> list[Place]:
        return [Place.read(text) for text in self.slots.get(slot, ())]

    @property
    def output_node(self) -> str:
        """The node whose pictures are the job's."""
        return self.places(FILENAME_PREFIX)[0].node

    @property
    def classes(self) -> set[str]:
        return {node.class_type for node in self.graph.values()}


def links(inputs: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Name of the input, and the node and output that it is linked to."""
    for name, value in inputs.items():
        if is_link(value):
            yield name, value[0], value[1]


def is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int
