"""Slots proposed for a graph: which inputs a request fills in, found by following the links from the saved image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from gpu_runner.protocol.workflows.requirements import folder_of
from gpu_runner.protocol.workflows.slots import WITH_DEFAULT
from gpu_runner.protocol.workflows.template import (
    EXTRAS,
    FILENAME_PREFIX,
    UNNAMED_OUTPUTS,
    VIDEO_NODES,
    Target,
    image_slot,
    is_link,
)
from gpu_runner.protocol.workflows.work import FPS_INPUTS, FRAMES_INPUTS

from . import notes as messages
from .graph_search import Graph, depth_first, inputs_of, upstream
from .notes import Note

Place = tuple[str, str]  # node, input

TEXT_INPUTS = (
    "text",
    "prompt",
    "text_g",
    "text_l",
    "clip_l",
    "clip_g",
    "t5xxl",
    "string",
    "value",
    "positive_prompt",
)
POSITIVE = ("positive", "conditioning", "cond", "cond1")
SAMPLER_INPUTS = {"sampler_name": "sampler", "scheduler": "scheduler", "steps": "num_inference_steps"}
NUMBERS = (int, float)
# Nodes for which images are what a prompt speaks of, and not what is drawn over.
EDIT_CLASSES = re.compile(r"TextEncode\w*Edit|ReferenceLatent|FluxKontext")
OPTIONAL_INPUT = re.compile(r"image_?[2-9]|images\.image[1-9]")


class Proposal(NamedTuple):
    """A graph that stores its image, its proposed slots, and notes for operators."""

    graph: Graph
    slots: dict[str, Any]
    if_asked: list[str]
    notes: list[Note]

    @property
    def output(self) -> Literal["image", "video"]:
        """What the node of the slot ``filename_prefix`` saves, by its class."""
        place = self.slots.get(FILENAME_PREFIX)
        class_type = self.graph[Target.read(place, self.graph).node].get("class_type") if place else ""
        return "video" if class_type in VIDEO_NODES else "image"


def proposed(graph: Graph) -> Proposal:
    """Propose slots for a valid graph in API format. Nodes that only preview are replaced by SaveImage."""
    graph, notes = _with_saved_image(graph)
    saving = [key for key, node in graph.items() if isinstance(inputs_of(node).get(FILENAME_PREFIX), str)]
    if not saving:
        return Proposal(graph, {}, [], [*notes, Note(messages.NO_SAVING_NODE)])
    save = next((key for key in saving if graph[key].get("class_type") == "SaveImage"), saving[0])
    extras = [key for key in saving if key != save]
    if extras:
        notes.append(Note(messages.SEVERAL_SAVE, {"results": save, "extras": ", ".join(extras)}))
    search = _Search(graph, save, notes)
    slots = {name: places for name, places in search.slots().items() if places}
    if extras:
        slots[EXTRAS] = [f"{key}.{FILENAME_PREFIX}" for key in extras]
    listed = {name: places[0] if len(places) == 1 else places for name, places in slots.items()}
    if_asked = [*sorted(WITH_DEFAULT & listed.keys()), *search.optional_images]
    return Proposal(graph, listed, if_asked, notes)


def _with_saved_image(graph: Graph) -> tuple[Graph, list[Note]]:
    if any(FILENAME_PREFIX in inputs_of(node) for node in graph.values()):
        return graph, []
    for key, node in graph.items():
        if node.get("class_type") in UNNAMED_OUTPUTS and "images" in inputs_of(node):
            inputs = {"images": node["inputs"]["images"], FILENAME_PREFIX: "atelier"}
            note = Note(messages.REPLACED, {"node": key, "class_type": node["class_type"]})
            return {**graph, key: {**node, "class_type": "SaveImage", "inputs": inputs}}, [note]
    return graph, []


class _Search:
    def __init__(self, graph: Graph, save: str, notes: list[Note]) -> None:
        self.optional_images: list[str] = []
        self.graph, self.save, self.notes = graph, save, notes
        self.used = list(upstream(self.graph, save))
        samples = [key for key in self.used if {"latent_image", "guider"} & inputs_of(graph[key]).keys()]
        samples = samples or [key for key in self.used if "cfg" in inputs_of(graph[key])]
        self.samplers = samples[::-1]  # the first pass is the farthest from the saved image

    def slots(self) -> dict[str, list[str]]:
        slots: dict[str, list[str]] = {}
        positive, negative = self._prompts("positive"), self._prompts("negative")
        shared = set(positive) & set(negative)  # a zeroed copy of the prompt is no negative prompt
        slots["prompt"] = positive
        slots["negative_prompt"] = [place for place in negative if place not in shared]
        slots["seed"] = self._values(("seed", "noise_seed"), int)
        for name, slot in SAMPLER_INPUTS.items():
            slots[slot] = self._agreed(
                slot, self._values((name,), str if slot != "num_inference_steps" else int)
            )
        if any(self._splits_steps(key) for key in self.used):
            slots["num_inference_steps"] = []
            self.notes.append(Note(messages.FIXED_STEPS))
        guidance = self._values(("guidance",), NUMBERS) or self._values(("cfg",), NUMBERS)
        slots["guidance_scale"] = self._agreed("guidance_scale", guidance)
        slots |= self._size() | self._images() | self._models() | self._video()
        slots[FILENAME_PREFIX] = [f"{self.save}.{FILENAME_PREFIX}"]
        return slots

    def _prompts(self, name: str) -> list[str]:
        """Texts that condition the samplers: those nearest to their inputs."""
        names = POSITIVE if name == "positive" else (name,)
        starts = [
            value[0]
            for key in self._conditioned()
            for wanted in names
            if is_link(value := inputs_of(self.graph[key]).get(wanted))
        ]
        places: dict[str, None] = {}
        for start in starts:
            places |= dict.fromkeys(self._texts(start, name))
        return list(places)

    def _conditioned(self) -> list[str]:
        """Samplers and guiders."""
        return [
            key
            for key in self.used[::-1]
            if "model" in (inputs := inputs_of(self.graph[key]))
            and ({"positive", "conditioning"} & inputs.keys())
        ]

    def _texts(self, start: str, name: str) -> Iterator[str]:
        queue, seen = [start], {start}
        for key in queue:
            inputs = inputs_of(self.graph[key])
            found = [place for text in TEXT_INPUTS if (place := self._constant(key, text, str))]
            if found:
                yield from dict.fromkeys(found)
                continue
            for linked, value in inputs.items():
                # A node with both conditionings passes each of them on.
                other = "negative" if name == "positive" else "positive"
                follows = linked != other and linked not in (
                    "clip",
                    "model",
                    "vae",
                    "image",
                    "pixels",
                    "samples",
                )
                if is_link(value) and follows and value[0] in self.graph and value[0] not in seen:
                    seen.add(value[0])
                    queue.append(value[0])

    def _constant(self, key: str, name: str, kinds: Any, hops: int = 8) -> str:
        """Where the value of an input is a constant: there, or in the primitive node that it is linked to."""
        value = inputs_of(self.graph[key]).get(name)
        if is_link(value):
            inputs = inputs_of(self.graph.get(value[0]))
            names = [one for one in ("value", *TEXT_INPUTS) if one in inputs]
            return self._constant(value[0], names[0], kinds, hops - 1) if names and hops else ""
        return f"{key}.{name}" if isinstance(value, kinds) and not isinstance(value, bool) else ""

    def _values(self, names: tuple[str, ...], kinds: Any) -> list[str]:
        places = [self._constant(key, name, kinds) for key in self.used[::-1] for name in names]
        return list(dict.fromkeys(filter(None, places)))

    def _agreed(self, slot: str, places: list[str]) -> list[str]:
        """All places if they have one value in the graph, else the first, with a note."""
        values = {str(self._value(place)) for place in places}
        if len(values) < 2:
            return places
        self.notes.append(Note(messages.PASSES_DIFFER, {"slot": slot, "place": places[0]}))
        return places[:1]

    def _value(self, place: str) -> Any:
        target = Target.read(place, self.graph)
        return self.graph[target.node]["inputs"][target.input]

    def _splits_steps(self, key: str) -> bool:
        inputs = inputs_of(self.graph[key])
        return bool(inputs.get("start_at_step")) or (
            isinstance(end := inputs.get("end_at_step"), int) and end < 10000
        )

    def _size(self) -> dict[str, list[str]]:
        sized = [
            key
            for key in self.used[::-1]
            if {"width", "height"} <= (inputs := inputs_of(self.graph[key])).keys()
            and ("batch_size" in inputs or "ModelSampling" in str(self.graph[key].get("class_type")))
        ]
        found = {name: [self._constant(key, name, int) for key in sized] for name in ("width", "height")}
        return {name: list(dict.fromkeys(filter(None, places))) for name, places in found.items()}

    def _images(self) -> dict[str, list[str]]:
        loaded = [key for key in depth_first(self.graph, self.save) if self._is_image(key)]
        masks = [key for key in self.used if self.graph[key].get("class_type") == "LoadImageMask"]
        mask = [place for key in masks[:1] if (place := self._constant(key, "image", str))]
        if not mask and (len(loaded) > 1 or self._edits()):
            return self._references(loaded)
        slots = {
            "init_images": [place for key in loaded[-1:] if (place := self._constant(key, "image", str))],
            "inpaint.mask": mask,
        }
        draws_over = any(self._is_image_to_image(key) for key in self.samplers[:1])
        strength = self._values(("denoise",), NUMBERS) if slots["init_images"] and draws_over else []
        return slots | {"strength": self._agreed("strength", strength)}

    def _is_image(self, key: str) -> bool:
        return self.graph[key].get("class_type") == "LoadImage" and bool(self._constant(key, "image", str))

    def _edits(self) -> bool:
        return any(EDIT_CLASSES.search(str(self.graph[key].get("class_type"))) for key in self.used)

    def _references(self, loaded: list[str]) -> dict[str, list[str]]:
        """A slot for each image, in the order of the inputs that they reach."""
        slots = {image_slot(number): [self._constant(key, "image", str)] for number, key in enumerate(loaded)}
        if len(loaded) > 1:
            words = {"count": len(loaded), "nodes": ", ".join(loaded)}
            self.notes.append(Note(messages.SEVERAL_IMAGES, words))
        required = max((number for number, key in enumerate(loaded) if not self._is_optional(key)), default=0)
        self.optional_images = [image_slot(number) for number in range(required + 1, len(loaded))]
        if self.optional_images:
            self.notes.append(Note(messages.OPTIONAL_IMAGES, {"slots": ", ".join(self.optional_images)}))
        return slots

    def _is_optional(self, key: str, hops: int = 8) -> bool:
        """Whether all that needs the image is a further image of an encoder."""
        uses = [
            (user, name)
            for user in self.used
            for name, value in inputs_of(self.graph[user]).items()
            if is_link(value) and value[0] == key
        ]
        return bool(uses and hops) and all(
            OPTIONAL_INPUT.fullmatch(name)
            or (not self._has_other_links(user) and self._is_optional(user, hops - 1))
            for user, name in uses
        )

    def _has_other_links(self, key: str) -> bool:
        return sum(map(is_link, inputs_of(self.graph[key]).values())) > 1

    def _is_image_to_image(self, key: str) -> bool:
        latent = inputs_of(self.graph[key]).get("latent_image")
        if not is_link(latent) or latent[0] not in self.graph:
            return False
        return any(
            str(self.graph[one].get("class_type")).startswith("VAEEncode")
            for one in upstream(self.graph, latent[0])
        )

    def _video(self) -> dict[str, list[str]]:
        if self.graph[self.save].get("class_type") not in VIDEO_NODES:
            return {}
        fps = self._values(FPS_INPUTS, NUMBERS)
        return {"video.frames": self._values(FRAMES_INPUTS, int), "video.fps": fps}

    def _models(self) -> dict[str, list[str]]:
        loaders: dict[str, list[Place]] = {}
        for key in self.used:
            class_type = str(self.graph[key].get("class_type"))
            folders = {folder_of(class_type, name): name for name in inputs_of(self.graph[key])}
            for folder, name in folders.items():
                loaders.setdefault(folder, []).append((key, name))
        slots: dict[str, list[str]] = {}
        checkpoints, networks = loaders.get("checkpoints", []), loaders.get("diffusion_models", [])
        encoders, vaes = loaders.get("text_encoders", []), loaders.get("vae", [])
        if len(checkpoints) == 1 and not networks:
            (key, name) = checkpoints[0]
            slots["checkpoint"] = [place] if (place := self._constant(key, name, str)) else []
            slots["loras"] = [f"{key}:0", f"{key}:1"]
            slots["vae"] = [f"{vaes[0][0]}:0"] if len(vaes) == 1 else [f"{key}:2"] if not vaes else []
            slots["clip_skip"] = self._values(("stop_at_clip_layer",), int)
            if self.samplers and {"positive", "negative"} <= inputs_of(self.graph[self.samplers[0]]).keys():
                slots["controls"] = [f"{self.samplers[0]}.positive", f"{self.samplers[0]}.negative"]
        elif len(networks) == 1 and len(encoders) == 1 and not checkpoints:
            slots["loras"] = [f"{networks[0][0]}:0", f"{encoders[0][0]}:0"]
        elif len(checkpoints) > 1 or len(networks) > 1:
            self.notes.append(Note(messages.SEVERAL_MODELS))
        return slots
