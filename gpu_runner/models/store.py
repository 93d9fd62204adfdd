"""Model store: loads models on demand, derives variants and evicts the least recently used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from gpu_runner.controlnet.preprocessors import network_registry
from gpu_runner.models.loaders.textual_inversion import read_vectors
from gpu_runner.models.loaders.vae import load_vae
from gpu_runner.models.lora.merge import Lora, read_lora
from gpu_runner.networks.loaded import LoadedCheckpoint, LoadedControlNet, LoadedFaceRestorer, LoadedUpscaler
from gpu_runner.networks.loaded_text import LoadedTextEncoder
from gpu_runner.networks.module_copies import size_bytes
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.networks.weight_storage import store_in_float8
from gpu_runner.protocol import LoadedModel, ModelFile

from . import devices
from .files import FileHashCache, locate, open_tensors
from .loaders.checkpoint import expected_size, key_of, load_checkpoint
from .loaders.controlnet import load_controlnet
from .loaders.face_restorer import load_face_restorer
from .loaders.text_encoder_files import load_text_encoder
from .loaders.upscaler import load_upscaler
from .memory_budget import CacheEntry, MemoryCache
from .onnx_store import OnnxStore
from .variant import PLAIN, Variant, text_encoder_key, vae_key
from .variant_builder import VariantBuilder


class ModelStore:
    """Two-level LRU cache of models: device memory, and RAM if ``ram_budget_bytes`` is above 0.

    A model larger than the whole budget is still loaded, as the only one. The getters raise ModelUnavailable.
    """

    def __init__(
        self,
        root: Path,
        device: torch.device | str,
        dtype: torch.dtype,
        budget_bytes: int,
        ram_budget_bytes: int = 0,
        on_loaded: Callable[[LoadedCheckpoint], None] = lambda checkpoint: None,
        float8: bool = False,
    ) -> None:
        """``on_loaded`` is called with each checkpoint that has come onto the device, before it is used.

        ``float8``: large weights of denoisers are stored in float8.
        """
        self._root = root
        self._device = torch.device(device)
        self.dtype = dtype
        self._hashes = FileHashCache()
        self.onnx = OnnxStore(root, self._hashes)
        after_eviction = partial(devices.release_cache, self._device)
        self._cache = MemoryCache(budget_bytes, after_eviction)
        self._ram = MemoryCache(ram_budget_bytes, after_eviction) if ram_budget_bytes else self._cache
        self._load_lock = Lock()  # one load at a time: parallel reads slow each other down
        self.loads_total = 0
        self._on_loaded = on_loaded
        self._float8 = float8
        self._variant_lock = Lock()  # for variants of loaded models, which need not wait for a load

    def get(self, file: ModelFile, variant: Variant = PLAIN) -> LoadedCheckpoint:
        """Return the checkpoint with the variant applied. Raises ModelUnavailable.

        Equal arguments return the same modules while they are cached.
        """
        base = self.checkpoint(file)
        if variant == PLAIN:
            return base
        return VariantBuilder(self, base, variant).build()

    def checkpoint(self, file: ModelFile) -> LoadedCheckpoint:
        if self._ram is self._cache:
            return self._from_file(self._cache, key_of(file), file, self._load_checkpoint(file, self._device))
        found: LoadedCheckpoint | None = self._cache.find(key_of(file))
        return found if found is not None else self._checkpoint_from_ram(file)

    def vae(self, file: ModelFile, dtype: torch.dtype) -> AutoencoderKL:
        def load(tensors: TensorFile) -> CacheEntry:
            vae = load_vae(tensors, file.path, self._device, dtype)
            return CacheEntry(vae, size_bytes(vae), file=_loaded_model(file, size_bytes(vae)))

        return self._from_file(self._cache, vae_key(file, dtype), file, load)

    def text_encoder(self, file: ModelFile, dtype: torch.dtype) -> LoadedTextEncoder:
        def load(tensors: TensorFile) -> CacheEntry:
            encoder = load_text_encoder(tensors, file, self._device, dtype)
            loaded_model = _loaded_model(file, encoder.size_bytes)
            return CacheEntry(encoder, encoder.size_bytes, file=loaded_model, evict_first=True)

        key = text_encoder_key(file, dtype)
        found: LoadedTextEncoder = self._from_file(self._cache, key, file, load, dtype)
        return found

    def controlnet(self, file: ModelFile) -> LoadedControlNet:
        def load(tensors: TensorFile) -> CacheEntry:
            net = load_controlnet(tensors, file.path, file.sha256, self._device, self.dtype)
            return CacheEntry(net, net.size_bytes, file=_loaded_model(file, net.size_bytes))

        found: LoadedControlNet = self._from_file(self._cache, f"controlnet:{file.sha256}", file, load)
        return found

    def preprocessor(self, file: ModelFile, module: str) -> nn.Module:
        def load(tensors: TensorFile) -> CacheEntry:
            network = network_registry.load(module, tensors, file.path).to(self._device)
            return CacheEntry(network, size_bytes(network), file=_loaded_model(file, size_bytes(network)))

        key = f"{network_registry.architecture_of(module)}:{file.sha256}"
        found: nn.Module = self._from_file(self._cache, key, file, load, torch.float32)
        return found

    def lora(self, file: ModelFile) -> Lora:
        def load(tensors: TensorFile) -> CacheEntry:
            lora = read_lora(tensors, file.path)
            return CacheEntry(lora, lora.size_bytes)

        return self._from_file(self._ram, f"lora:{file.sha256}", file, load)

    def vectors(self, file: ModelFile, widths: list[int]) -> tuple[Tensor, ...]:
        """Vectors of an embedding, one tensor for each text encoder; ``widths`` are their hidden sizes."""

        def load(tensors: TensorFile) -> CacheEntry:
            vectors = read_vectors(tensors, file.path, widths)
            return CacheEntry(vectors, sum(tensor.numel() * tensor.element_size() for tensor in vectors))

        return self._from_file(self._ram, f"embedding:{file.sha256} {widths}", file, load)

    def upscaler(self, file: ModelFile) -> LoadedUpscaler:
        def load(tensors: TensorFile) -> CacheEntry:
            upscaler = load_upscaler(tensors, file.path, file.sha256, self._device, self.dtype)
            return CacheEntry(upscaler, upscaler.size_bytes, file=_loaded_model(file, upscaler.size_bytes))

        return self._from_file(self._cache, f"upscaler:{file.sha256}", file, load)

    def face_restorer(self, file: ModelFile) -> LoadedFaceRestorer:
        def load(tensors: TensorFile) -> CacheEntry:
            restorer = load_face_restorer(tensors, file.path, file.sha256, self._device)
            return CacheEntry(restorer, restorer.size_bytes, file=_loaded_model(file, restorer.size_bytes))

        return self._from_file(self._cache, f"face_restorer:{file.sha256}", file, load, torch.float32)

    def derived(self, key: str, base: str, needed: int, make: Callable[[], CacheEntry]) -> Any:
        """Return a cached part of a variant, or create it with ``make``.

        ``needed`` is in bytes; ``base`` is the key of the model that the part shares memory with.
        """
        found = self._cache.find(key)
        if found is not None:
            return found
        with self._variant_lock:
            found = self._cache.find(key)
            if found is None:
                found = self._create(self._cache, key, needed, make)
            self._cache.find(base)
            return found

    def add(self, key: str, entry: CacheEntry) -> None:
        """Put a model that was not loaded by this store into the device cache, under the key of its getter."""
        self._cache.put(key, entry)

    @property
    def size_bytes(self) -> int:
        """Size of all entries in device memory, in bytes."""
        return self._cache.size_bytes

    def loaded(self) -> list[LoadedModel]:
        """Models in device memory, most recently used last."""
        return self._cache.files()

    def clear(self) -> None:
        """Clear all caches. Models in use stay in memory until released, outside the budget."""
        self.onnx.clear()
        for cache in {self._cache, self._ram}:
            cache.clear()

    def _checkpoint_from_ram(self, file: ModelFile) -> LoadedCheckpoint:
        """Copy a checkpoint from the RAM cache to the device, loading it into RAM first if it is missing."""
        key = key_of(file)
        in_ram = self._from_file(self._ram, key, file, self._load_checkpoint(file, torch.device("cpu")))
        with self._variant_lock:
            found: LoadedCheckpoint | None = self._cache.find(key)
            if found is not None:
                return found

            def move() -> CacheEntry:
                loaded_model = _loaded_model(file, in_ram.size_bytes)
                for read in self._ram.files():  # the time from the file, not from RAM
                    if read.sha256 == file.sha256:
                        loaded_model = loaded_model.model_copy(update={"load_seconds": read.load_seconds})
                on_device = in_ram.moved(self._device)
                self._on_loaded(on_device)
                return CacheEntry(on_device, in_ram.size_bytes, file=loaded_model)

            return self._create(self._cache, key, in_ram.size_bytes, move)

    def _load_checkpoint(self, file: ModelFile, device: torch.device) -> Callable[[TensorFile], CacheEntry]:
        def load(tensors: TensorFile) -> CacheEntry:
            checkpoint = load_checkpoint(tensors, file, device, self.dtype)
            if self._float8:
                checkpoint.size_bytes -= store_in_float8(checkpoint.unet)
            if device == self._device:
                self._on_loaded(checkpoint)
            return CacheEntry(
                checkpoint, checkpoint.size_bytes, file=_loaded_model(file, checkpoint.size_bytes)
            )

        return load

    def _from_file(
        self,
        cache: MemoryCache,
        key: str,
        file: ModelFile,
        load: Callable[[TensorFile], CacheEntry],
        dtype: torch.dtype | None = None,
    ) -> Any:
        """Return a cached entry or load its file; ``dtype`` overrides the default in the size estimate."""
        found = cache.find(key)
        if found is not None:
            return found
        with self._load_lock:
            found = cache.find(key)
            if found is not None:
                return found
            begun = monotonic()
            path = locate(self._root, file)
            self._hashes.check(path, file)
            with open_tensors(path, file.path) as tensors:

                def make() -> CacheEntry:
                    entry = load(tensors)
                    if entry.file is None:
                        return entry
                    timed = entry.file.model_copy(update={"load_seconds": round(monotonic() - begun, 3)})
                    return replace(entry, file=timed)

                created = self._create(cache, key, expected_size(tensors, dtype or self.dtype), make)
                self.loads_total += 1
                return created

    def _create(self, cache: MemoryCache, key: str, needed: int, make: Callable[[], CacheEntry]) -> Any:
        with cache.reserve(needed):
            entry = make()
            cache.put(key, entry)
        return entry.value


def _loaded_model(file: ModelFile, size: int) -> LoadedModel:
    return LoadedModel(path=file.path, sha256=file.sha256, size_bytes=size)
