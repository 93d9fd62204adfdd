"""Inventory of a ComfyUI server: models, nodes, device and version, polled in a thread."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from gpu_runner.comfyui.client import ComfyClient, Rejected, ServerTimeout
from gpu_runner.protocol import Inventory

POLL_INTERVAL_S = 10.0
# Folder below MODELS_ROOT -> folder of ComfyUI.
FOLDERS = {
    "checkpoints": "checkpoints",
    "loras": "loras",
    "vae": "vae",
    "controlnet": "controlnet",
    "upscalers": "upscale_models",
}
EMBEDDINGS = "embeddings"
NO_RESPONSE = "ComfyUI does not respond"


@dataclass(frozen=True)
class ServerInventory:
    """State at one poll. ``models`` maps a folder below MODELS_ROOT to ComfyUI's file names."""

    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nodes: Mapping[str, Any] = field(default_factory=dict)
    device: str = ""
    version: str = ""
    memory_bytes: int = 0

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
        return Inventory(models=tuple(filter(_is_valid_path, models)), nodes=tuple(sorted(self.nodes)))


def _is_valid_path(path: str) -> bool:
    return len(path) <= 500 and "\0" not in path and not {"", "..", "."} & set(path.split("/"))


class InventoryPoller:
    """Polls a server. ``inventory`` is the latest state; ``problem`` is not empty if the last poll failed."""

    def __init__(self, client: ComfyClient) -> None:
        self._client = client
        self._stop = threading.Event()
        self.inventory = ServerInventory()
        self.digest = ""
        self.problem = NO_RESPONSE

    def start(self) -> None:
        """Start the polling thread."""
        threading.Thread(target=self._run, name="inventory", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def refresh(self) -> None:
        """Poll the server once."""
        try:
            inventory = _poll(self._client)
        except (ServerTimeout, Rejected) as error:
            self.problem = f"{NO_RESPONSE}: {error}"[:300]
            return
        response = inventory.as_inventory().model_dump_json()
        self.inventory, self.digest, self.problem = (
            inventory,
            hashlib.sha256(response.encode()).hexdigest(),
            "",
        )

    def _run(self) -> None:
        while not self._stop.is_set():
            self.refresh()
            self._stop.wait(POLL_INTERVAL_S if not self.problem else POLL_INTERVAL_S / 5)


def _poll(client: ComfyClient) -> ServerInventory:
    stats = client.system_stats()
    models = {ours: tuple(client.models(theirs)) for ours, theirs in FOLDERS.items()}
    models[EMBEDDINGS] = tuple(_with_suffix(client.embeddings()))
    device: dict[str, Any] = next(iter(stats.get("devices") or []), {})
    return ServerInventory(
        models=models,
        nodes=client.object_info(),
        device=str(device.get("name", ""))[:150],
        version=str(stats.get("system", {}).get("comfyui_version", ""))[:40],
        memory_bytes=max(0, _int(device.get("vram_total")) - _int(device.get("vram_free"))),
    )


def _with_suffix(names: Iterable[str]) -> list[str]:
    """Add a suffix, which ComfyUI omits in its list of embeddings."""
    return [f"{name}.safetensors" for name in names]


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0
