"""Inventory of a ComfyUI server: its model files and node classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from gpu_runner.comfyui.client import ComfyClient
from gpu_runner.comfyui.node_info import file_lists, reduced
from gpu_runner.protocol import FileList, Inventory
from gpu_runner.protocol.workflows.requirements import folder_of, is_model_file

# Folder below MODELS_ROOT -> folders of ComfyUI. The GGUF loaders have folders of their own.
FOLDERS = {
    "checkpoints": ("checkpoints",),
    "diffusion_models": ("diffusion_models", "unet_gguf"),
    "text_encoders": ("text_encoders", "clip_gguf"),
    "loras": ("loras",),
    "vae": ("vae",),
    "controlnet": ("controlnet",),
    "upscalers": ("upscale_models",),
}
EMBEDDINGS = "embeddings"
Listing = Mapping[str, tuple[str, ...]]  # folder of ComfyUI -> file names


@dataclass(frozen=True)
class ServerInventory:
    """State at one reading. ``models`` maps a folder below MODELS_ROOT to ComfyUI's file names."""

    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nodes: Mapping[str, Any] = field(default_factory=dict)
    file_lists: tuple[FileList, ...] = ()
    device: str = ""
    version: str = ""

    def find(self, path: str) -> str | None:
        """Return ComfyUI's name of the file with this path below MODELS_ROOT, or None.

        The path is compared first, then the file name, then the name without suffix, if these are unique.
        """
        folder, _slash, rest = path.partition("/")
        names = {name.replace("\\", "/"): name for name in self.models.get(folder, ())}
        if rest in names:
            return names[rest]
        wanted = PurePosixPath(rest)
        for same in (
            lambda name: PurePosixPath(name).name == wanted.name,
            lambda name: PurePosixPath(name).stem == wanted.stem,
        ):
            found = [original for name, original in names.items() if same(name)]
            if len(found) == 1:
                return found[0]
        return None

    def embedding(self, path: str) -> str | None:
        """Return ComfyUI's name of an embedding, without suffix, or None."""
        found = self.find(path)
        return str(PurePosixPath(found.replace("\\", "/")).with_suffix("")) if found else None

    def as_inventory(self) -> Inventory:
        """Return the response of ``GET /inventory``."""
        models = sorted(
            f"{folder}/{name}".replace("\\", "/") for folder, names in self.models.items() for name in names
        )
        return Inventory(
            models=tuple(filter(_is_valid_path, models)),
            nodes=tuple(sorted(self.nodes)),
            file_lists=self.file_lists,
        )


def _is_valid_path(path: str) -> bool:
    return len(path) <= 500 and "\0" not in path and not {"", "..", "."} & set(path.split("/"))


def read_listing(client: ComfyClient) -> Listing:
    """Return the files of every model folder. Cheap on the server, which remembers them per folder."""
    folders = client.model_folders() or [name for names in FOLDERS.values() for name in names]
    listing = {name: tuple(client.models(name)) for name in sorted(folders)}
    return listing | {EMBEDDINGS: tuple(client.embeddings())}


def read_inventory(client: ComfyClient, listing: Listing, device: str, version: str) -> ServerInventory:
    """Read the node classes, which may take minutes on a large server, and combine them with the files."""
    nodes = reduced(client.object_info())
    lists = file_lists(nodes)
    return ServerInventory(models_of(listing, lists), nodes, lists, device, version)


def models_of(listing: Listing, lists: Iterable[FileList]) -> dict[str, tuple[str, ...]]:
    """Return the model files by folder below MODELS_ROOT: those of the folders, and those that loaders offer."""
    models: dict[str, dict[str, None]] = {
        ours: dict.fromkeys(name for folder in theirs for name in listing.get(folder, ()))
        for ours, theirs in FOLDERS.items()
    }
    for listed in lists:
        for key in listed.inputs:
            class_type, _dot, name = key.rpartition(".")
            folder = folder_of(class_type, name)
            if folder in models:  # a VAE loader offers built-in names, too: these are no files
                models[folder] |= dict.fromkeys(filter(is_model_file, listed.files))
    models[EMBEDDINGS] = dict.fromkeys(f"{name}.safetensors" for name in listing.get(EMBEDDINGS, ()))
    return {folder: tuple(names) for folder, names in models.items()}
