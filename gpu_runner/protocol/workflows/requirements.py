"""What a template needs of a ComfyUI server: node classes, and the model files that its constants name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from .template import Workflow

MODEL_SUFFIXES = frozenset(
    {".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".gguf", ".onnx", ".pkl", ".engine"}
)
# Loader input -> folder below MODELS_ROOT, for the kinds that the registry lists.
FOLDERS_BY_INPUT = {
    "ckpt_name": "checkpoints",
    "unet_name": "diffusion_models",
    "clip_name": "text_encoders",
    "clip_name1": "text_encoders",
    "clip_name2": "text_encoders",
    "clip_name3": "text_encoders",
    "clip_name4": "text_encoders",
    "vae_name": "vae",
    "lora_name": "loras",
    "control_net_name": "controlnet",
}
FOLDERS_BY_CLASS_AND_INPUT = {
    ("CLIPVisionLoader", "clip_name"): "",
    ("UpscaleModelLoader", "model_name"): "upscalers",
}
# The first of these kinds among the files of a template is its main model.
MAIN_FOLDERS = ("diffusion_models", "checkpoints", "upscalers")


class FileUse(NamedTuple):
    """A model file that an input of a node names, as ComfyUI writes it."""

    class_type: str
    input: str
    file: str

    @property
    def list_key(self) -> str:
        """Key of the server's list of files for this input."""
        return f"{self.class_type}.{self.input}"

    @property
    def path(self) -> str:
        """Path in the layout of MODELS_ROOT, or an empty string for kinds that the registry does not list."""
        folder = folder_of(self.class_type, self.input)
        return f"{folder}/{self.file}".replace("\\", "/") if folder else ""


class Requirements(NamedTuple):
    """Node classes and files that a server must have to run a template."""

    nodes: frozenset[str]
    files: tuple[FileUse, ...] = ()

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Requirements:
        """Parse the result of ``as_json``."""
        return cls(frozenset(stored["nodes"]), tuple(FileUse(*use) for use in stored["files"]))

    def as_json(self) -> dict[str, Any]:
        return {"nodes": sorted(self.nodes), "files": [list(use) for use in self.files]}

    @property
    def main_file(self) -> FileUse | None:
        """The file that draws: a diffusion model, else a checkpoint, else an upscaler; None if there is none."""
        for folder in MAIN_FOLDERS:
            for use in self.files:
                if folder_of(use.class_type, use.input) == folder:
                    return use
        return None


def folder_of(class_type: str, name: str) -> str:
    """Folder below MODELS_ROOT of the files that a loader input names; empty if the registry has no such kind."""
    return FOLDERS_BY_CLASS_AND_INPUT.get((class_type, name), FOLDERS_BY_INPUT.get(name, ""))


def checkpoint_folder(workflow: Workflow) -> str:
    """Folder of the files for the slot ``checkpoint``: that of its loader. Empty without the slot."""
    for target in workflow.targets("checkpoint"):
        return folder_of(workflow.graph[target.node].class_type, target.input) or "checkpoints"
    return ""


def requirements_of(workflow: Workflow) -> Requirements:
    """Return the requirements of a template. Inputs that slots fill in are the request's, and are left out."""
    return Requirements(frozenset(workflow.classes), tuple(dict.fromkeys(_files(workflow))))


def _files(workflow: Workflow) -> Iterator[FileUse]:
    filled = {(target.node, target.input) for slot in workflow.slots for target in workflow.targets(slot)}
    for key, node in workflow.graph.items():
        for name, value in node.inputs.items():
            if (key, name) not in filled and is_model_file(value):
                yield FileUse(node.class_type, name, value)


def is_model_file(value: Any) -> bool:
    """Whether an input value is the name of a model file."""
    return (
        isinstance(value, str)
        and "\n" not in value
        and len(value) <= 500
        and PurePosixPath(value.replace("\\", "/")).suffix.lower() in MODEL_SUFFIXES
    )
