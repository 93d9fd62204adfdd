"""A template with a request's values in its slots: the graph that is queued."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .slots import CONTROLS, LORAS, VAE
from .template import Place, Workflow, is_link

Graph = dict[str, dict[str, Any]]
Link = list[Any]


@dataclass(frozen=True)
class LoraNode:
    name: str
    model: float
    clip: float


@dataclass(frozen=True)
class ControlNode:
    """``preprocessor``: the class and the inputs of a node that draws the map from the picture."""

    model: str
    image: str
    strength: float
    start: float
    end: float
    preprocessor: tuple[str, dict[str, Any]] | None = None


@dataclass(frozen=True)
class Filling:
    """``values`` by slot, in ComfyUI's words."""

    values: Mapping[str, Any]
    loras: tuple[LoraNode, ...] = ()
    vae: str = ""
    controls: tuple[ControlNode, ...] = ()


class _Builder:
    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.graph: Graph = {key: copy.deepcopy(node.model_dump()) for key, node in workflow.graph.items()}
        self._made = 0

    def add(self, class_type: str, **inputs: Any) -> str:
        self._made += 1
        key = f"atelier-{self._made}"
        self.graph[key] = {"class_type": class_type, "inputs": inputs}
        return key

    def put(self, slot: str, value: Any) -> None:
        for place in self.workflow.places(slot):
            self.graph[place.node]["inputs"][place.input] = value

    def relink(self, old: Place, new: Link, *, but: set[str]) -> None:
        """Whoever was linked to an output is linked to another, except the nodes in between."""
        for key, node in self.graph.items():
            for name, value in node["inputs"].items():
                if key not in but and is_link(value) and tuple(value) == (old.node, old.output):
                    node["inputs"][name] = new

    def add_loras(self, loras: tuple[LoraNode, ...]) -> None:
        if not loras:
            return
        places = self.workflow.places(LORAS)
        model, clip = ([place.node, place.output] for place in places)
        made: set[str] = set()
        for lora in loras:
            key = self.add(
                "LoraLoader",
                model=model,
                clip=clip,
                lora_name=lora.name,
                strength_model=lora.model,
                strength_clip=lora.clip,
            )
            made.add(key)
            model, clip = [key, 0], [key, 1]
        self.relink(places[0], model, but=made)
        self.relink(places[1], clip, but=made)

    def add_vae(self, name: str) -> None:
        if name:
            loader = self.add("VAELoader", vae_name=name)
            self.relink(self.workflow.places(VAE)[0], [loader, 0], but={loader})

    def add_controls(self, controls: tuple[ControlNode, ...]) -> None:
        places = self.workflow.places(CONTROLS)
        for control in controls:
            image: Link = [self.add("LoadImage", image=control.image), 0]
            if control.preprocessor:
                class_type, inputs = control.preprocessor
                image = [self.add(class_type, image=image, **inputs), 0]
            network = [self.add("ControlNetLoader", control_net_name=control.model), 0]
            for positive, negative in zip(places[::2], places[1::2], strict=True):
                key = self.add(
                    "ControlNetApplyAdvanced",
                    positive=self.graph[positive.node]["inputs"][positive.input],
                    negative=self.graph[negative.node]["inputs"][negative.input],
                    control_net=network,
                    image=image,
                    strength=control.strength,
                    start_percent=control.start,
                    end_percent=control.end,
                )
                self.graph[positive.node]["inputs"][positive.input] = [key, 0]
                self.graph[negative.node]["inputs"][negative.input] = [key, 1]


def fill(workflow: Workflow, filling: Filling) -> Graph:
    builder = _Builder(workflow)
    for slot, value in filling.values.items():
        builder.put(slot, value)
    builder.add_loras(filling.loras)
    builder.add_vae(filling.vae)
    builder.add_controls(filling.controls)
    return builder.graph


def counted_steps(workflow: Workflow, graph: Graph) -> dict[str, int]:
    """The steps of the nodes that the request counts, by node."""
    places = [
        *workflow.places("num_inference_steps"),
        *workflow.places("hires.num_inference_steps"),
    ]
    steps = {place.node: graph[place.node]["inputs"][place.input] for place in places}
    return {node: count for node, count in steps.items() if isinstance(count, int)}
