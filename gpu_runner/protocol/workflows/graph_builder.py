"""Builds the graph to queue: a template with values in its slots and nodes for LoRAs, VAE and ControlNets."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .slots import CONTROLS, LORAS, VAE
from .template import Target, Workflow, is_link

Graph = dict[str, dict[str, Any]]
Link = list[Any]


@dataclass(frozen=True)
class LoraNode:
    """LoRA file on the server, and its weights for the UNet and the text encoder."""

    name: str
    model: float
    clip: float


@dataclass(frozen=True)
class ControlNode:
    """ControlNet with an uploaded image. ``preprocessor`` is the class and inputs of a node that computes the map."""

    model: str
    image: str
    strength: float
    start: float
    end: float
    preprocessor: tuple[str, dict[str, Any]] | None = None


@dataclass(frozen=True)
class SlotValues:
    """Values by slot, under ComfyUI's names, and the models to insert. A tuple has a value for each target of its slot."""

    values: Mapping[str, Any]
    loras: tuple[LoraNode, ...] = ()
    vae: str = ""
    controls: tuple[ControlNode, ...] = ()


class _Builder:
    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.graph: Graph = {key: copy.deepcopy(node.model_dump()) for key, node in workflow.graph.items()}
        self._count = 0

    def add(self, class_type: str, **inputs: Any) -> str:
        self._count += 1
        key = f"atelier-{self._count}"
        self.graph[key] = {"class_type": class_type, "inputs": inputs}
        return key

    def put(self, slot: str, value: Any) -> None:
        targets = self.workflow.targets(slot)
        values = value if isinstance(value, tuple) else (value,) * len(targets)
        for target, each in zip(targets, values, strict=True):
            self.graph[target.node]["inputs"][target.input] = each

    def relink(self, old: Target, new: Link, *, exclude: set[str]) -> None:
        """Replace links to ``old`` by links to ``new`` in all nodes but ``exclude``."""
        for key, node in self.graph.items():
            for name, value in node["inputs"].items():
                if key not in exclude and is_link(value) and tuple(value) == (old.node, old.output):
                    node["inputs"][name] = new

    def add_loras(self, loras: tuple[LoraNode, ...]) -> None:
        if not loras:
            return
        targets = self.workflow.targets(LORAS)
        model, clip = ([target.node, target.output] for target in targets)
        inserted: set[str] = set()
        for lora in loras:
            key = self.add(
                "LoraLoader",
                model=model,
                clip=clip,
                lora_name=lora.name,
                strength_model=lora.model,
                strength_clip=lora.clip,
            )
            inserted.add(key)
            model, clip = [key, 0], [key, 1]
        self.relink(targets[0], model, exclude=inserted)
        self.relink(targets[1], clip, exclude=inserted)

    def add_vae(self, name: str) -> None:
        if name:
            loader = self.add("VAELoader", vae_name=name)
            self.relink(self.workflow.targets(VAE)[0], [loader, 0], exclude={loader})

    def add_controls(self, controls: tuple[ControlNode, ...]) -> None:
        targets = self.workflow.targets(CONTROLS)
        for control in controls:
            image: Link = [self.add("LoadImage", image=control.image), 0]
            if control.preprocessor:
                class_type, inputs = control.preprocessor
                image = [self.add(class_type, image=image, **inputs), 0]
            network = [self.add("ControlNetLoader", control_net_name=control.model), 0]
            for positive, negative in zip(targets[::2], targets[1::2], strict=True):
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


def build_graph(workflow: Workflow, slot_values: SlotValues) -> Graph:
    """Return the graph of a template with the given values. Nodes that are added have keys ``atelier-N``."""
    builder = _Builder(workflow)
    for slot, value in slot_values.values.items():
        builder.put(slot, value)
    builder.add_loras(slot_values.loras)
    builder.add_vae(slot_values.vae)
    builder.add_controls(slot_values.controls)
    return builder.graph
