"""What a ComfyUI server has: models, nodes, and what it says of itself. Looked at again and again."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from gpu_runner.comfyui.client import ComfyClient, Rejected, ServerTimeout
from gpu_runner.protocol import Inventory

EVERY_S = 10.0
# Our folders below MODELS_ROOT -> ComfyUI's.
FOLDERS = {
    "checkpoints": "checkpoints",
    "loras": "loras",
    "vae": "vae",
    "controlnet": "controlnet",
    "upscalers": "upscale_models",
}
EMBEDDINGS = "embeddings"
NO_ANSWER = "ComfyUI does not answer"


@dataclass(frozen=True)
class ServerInventory:
    """One look. ``models`` by our folder, in ComfyUI's words."""

    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nodes: Mapping[str, Any] = field(default_factory=dict)
    device: str = ""
    version: str = ""
    memory_bytes: int = 0

    def find(self, path: str) -> str | None:
        """ComfyUI's name of the file with this path below MODELS_ROOT: the same path, or the only file of that name."""
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
        found = self.find(path)
        return str(PurePosixPath(found.replace("\\", "/")).with_suffix("")) if found else None

    def as_inventory(self) -> Inventory:
        models = sorted(
            f"{folder}/{name}".replace("\\", "/") for folder, names in self.models.items() for name in names
        )
        return Inventory(models=tuple(filter(_is_tidy, models)), nodes=tuple(sorted(self.nodes)))


def _is_tidy(path: str) -> bool:
    return len(path) <= 500 and "\0" not in path and not {"", "..", "."} & set(path.split("/"))


class InventoryPoller:
    """``stock`` is the newest look; ``problem`` says why there is none, or why it is old."""

    def __init__(self, client: ComfyClient) -> None:
        self._client = client
        self._stop = threading.Event()
        self.stock = ServerInventory()
        self.digest = ""
        self.problem = NO_ANSWER

    def start(self) -> None:
        threading.Thread(target=self._run, name="inventory", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def look(self) -> None:
        try:
            stock = _seen(self._client)
        except (ServerTimeout, Rejected) as error:
            self.problem = f"{NO_ANSWER}: {error}"[:300]
            return
        answer = stock.as_inventory().model_dump_json()
        self.stock, self.digest, self.problem = stock, hashlib.sha256(answer.encode()).hexdigest(), ""

    def _run(self) -> None:
        while not self._stop.is_set():
            self.look()
            self._stop.wait(EVERY_S if not self.problem else EVERY_S / 5)


def _seen(client: ComfyClient) -> ServerInventory:
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
    """The list of embeddings leaves their suffix out; in the registry a file has one."""
    return [f"{name}.safetensors" for name in names]


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0
