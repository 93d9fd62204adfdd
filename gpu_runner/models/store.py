"""Models in memory: loaded when asked for, varied without being changed, dropped when others need the room."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from gpu_runner.controlnet.preprocessors import network_registry
from gpu_runner.models.loaders.textual_inversion import read_vectors
from gpu_runner.models.loaders.vae import load_vae
from gpu_runner.models.lora.merge import Lora, read_lora
from gpu_runner.networks.loaded import LoadedCheckpoint, LoadedControlNet, LoadedFaceRestorer, LoadedUpscaler
from gpu_runner.networks.module_copies import size_bytes
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol import LoadedModel, ModelFile

from . import devices
from .files import FileHashCache, locate, open_tensors
from .loaders.checkpoint import expected_size, key_of, load_checkpoint
from .loaders.controlnet import load_controlnet
from .loaders.face_restorer import load_face_restorer
from .loaders.upscaler import load_upscaler
from .memory_budget import CacheEntry, MemoryCache
from .onnx_store import OnnxStore
from .variant import PLAIN, Variant, vae_key
from .variant_builder import VariantBuilder


class ModelStore:
    """What the device's memory cannot hold any more stays in RAM, where there is a budget for that.

    The least recently used go first. One that alone exceeds the budget is still loaded, by itself.
    """

    def __init__(
        self,
        root: Path,
        device: torch.device | str,
        dtype: torch.dtype,
        budget_bytes: int,
        ram_budget_bytes: int = 0,
    ) -> None:
        self._root = root
        self._device = torch.device(device)
        self._dtype = dtype
        self._hashes = FileHashCache()
        self.onnx = OnnxStore(root, self._hashes)
        after_eviction = partial(devices.release_cache, self._device)
        self._shelf = MemoryCache(budget_bytes, after_eviction)
        self._ram = MemoryCache(ram_budget_bytes, after_eviction) if ram_budget_bytes else self._shelf
        self._loading = Lock()  # one load at a time: two at once would make each other slow
        self.loads_total = 0
        self._varying = Lock()  # of what is loaded: need not wait for a load

    def get(self, file: ModelFile, variation: Variant = PLAIN) -> LoadedCheckpoint:
        """Raises ModelUnavailable. The same for the same variation, as long as it is in memory."""
        base = self.checkpoint(file)
        if variation == PLAIN:
            return base
        return VariantBuilder(self, base, variation).made()

    def checkpoint(self, file: ModelFile) -> LoadedCheckpoint:
        if self._ram is self._shelf:
            return self._from_file(self._shelf, key_of(file), file, self._load_checkpoint(file, self._device))
        found: LoadedCheckpoint | None = self._shelf.find(key_of(file))
        return found if found is not None else self._brought(file)

    def vae(self, file: ModelFile, dtype: torch.dtype) -> AutoencoderKL:
        def load(tensors: TensorFile) -> CacheEntry:
            vae = load_vae(tensors, file.path, self._device, dtype)
            return CacheEntry(vae, size_bytes(vae), file=_described(file, size_bytes(vae)))

        return self._from_file(self._shelf, vae_key(file, dtype), file, load)

    def controlnet(self, file: ModelFile) -> LoadedControlNet:
        def load(tensors: TensorFile) -> CacheEntry:
            net = load_controlnet(tensors, file.path, file.sha256, self._device, self._dtype)
            return CacheEntry(net, net.size_bytes, file=_described(file, net.size_bytes))

        found: LoadedControlNet = self._from_file(self._shelf, f"controlnet:{file.sha256}", file, load)
        return found

    def preprocessor(self, file: ModelFile, module: str) -> nn.Module:
        def load(tensors: TensorFile) -> CacheEntry:
            network = network_registry.load(module, tensors, file.path).to(self._device)
            return CacheEntry(network, size_bytes(network), file=_described(file, size_bytes(network)))

        found: nn.Module = self._from_file(self._shelf, f"{module}:{file.sha256}", file, load, torch.float32)
        return found

    def lora(self, file: ModelFile) -> Lora:
        def load(tensors: TensorFile) -> CacheEntry:
            lora = read_lora(tensors, file.path)
            return CacheEntry(lora, lora.size_bytes)

        return self._from_file(self._ram, f"lora:{file.sha256}", file, load)

    def vectors(self, file: ModelFile, widths: list[int]) -> tuple[Tensor, ...]:
        """Of an embedding, for text encoders of these widths."""

        def load(tensors: TensorFile) -> CacheEntry:
            vectors = read_vectors(tensors, file.path, widths)
            return CacheEntry(vectors, sum(tensor.numel() * tensor.element_size() for tensor in vectors))

        return self._from_file(self._ram, f"embedding:{file.sha256} {widths}", file, load)

    def upscaler(self, file: ModelFile) -> LoadedUpscaler:
        def load(tensors: TensorFile) -> CacheEntry:
            upscaler = load_upscaler(tensors, file.path, file.sha256, self._device, self._dtype)
            return CacheEntry(upscaler, upscaler.size_bytes, file=_described(file, upscaler.size_bytes))

        return self._from_file(self._shelf, f"upscaler:{file.sha256}", file, load)

    def face_restorer(self, file: ModelFile) -> LoadedFaceRestorer:
        def load(tensors: TensorFile) -> CacheEntry:
            restorer = load_face_restorer(tensors, file.path, file.sha256, self._device)
            return CacheEntry(restorer, restorer.size_bytes, file=_described(file, restorer.size_bytes))

        return self._from_file(self._shelf, f"face_restorer:{file.sha256}", file, load, torch.float32)

    def varied(self, key: str, base: str, needed: int, make: Callable[[], CacheEntry]) -> Any:
        """A part of a variation; ``base`` is the key of the model that it shares memory with."""
        found = self._shelf.find(key)
        if found is not None:
            return found
        with self._varying:
            found = self._shelf.find(key)
            if found is None:
                found = self._made(self._shelf, key, needed, make)
            self._shelf.find(base)
            return found

    def loaded(self) -> list[LoadedModel]:
        """What is in the device's memory, the most recently used last."""
        return self._shelf.files()

    def clear(self) -> None:
        """Whoever holds a model keeps it until done; but the budget no longer knows of it."""
        self.onnx.clear()
        for shelf in {self._shelf, self._ram}:
            shelf.clear()

    def _brought(self, file: ModelFile) -> LoadedCheckpoint:
        """From RAM to the device, and to RAM first where it is not there."""
        key = key_of(file)
        master = self._from_file(self._ram, key, file, self._load_checkpoint(file, torch.device("cpu")))
        with self._varying:
            found: LoadedCheckpoint | None = self._shelf.find(key)
            if found is not None:
                return found

            def move() -> CacheEntry:
                described = _described(file, master.size_bytes)
                return CacheEntry(master.moved(self._device), master.size_bytes, file=described)

            return self._made(self._shelf, key, master.size_bytes, move)

    def _load_checkpoint(self, file: ModelFile, device: torch.device) -> Callable[[TensorFile], CacheEntry]:
        def load(tensors: TensorFile) -> CacheEntry:
            checkpoint = load_checkpoint(tensors, file, device, self._dtype)
            return CacheEntry(checkpoint, checkpoint.size_bytes, file=_described(file, checkpoint.size_bytes))

        return load

    def _from_file(
        self,
        shelf: MemoryCache,
        key: str,
        file: ModelFile,
        load: Callable[[TensorFile], CacheEntry],
        dtype: torch.dtype | None = None,
    ) -> Any:
        """``dtype`` is for what is not loaded in the device's own."""
        found = shelf.find(key)
        if found is not None:
            return found
        with self._loading:
            found = shelf.find(key)
            if found is not None:
                return found
            path = locate(self._root, file)
            self._hashes.check(path, file)
            with open_tensors(path, file.path) as tensors:
                made = self._made(
                    shelf, key, expected_size(tensors, dtype or self._dtype), lambda: load(tensors)
                )
                self.loads_total += 1
                return made

    def _made(self, shelf: MemoryCache, key: str, needed: int, make: Callable[[], CacheEntry]) -> Any:
        with shelf.room(needed):
            item = make()
            shelf.put(key, item)
        return item.value


def _described(file: ModelFile, size: int) -> LoadedModel:
    return LoadedModel(path=file.path, sha256=file.sha256, size_bytes=size)
