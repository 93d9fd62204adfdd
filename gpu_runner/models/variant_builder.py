"""Builds a variant of a checkpoint from cached parts, which variants with the same changes share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from gpu_runner.models.lora.deltas import Parts
from gpu_runner.models.lora.merge import Lora, LoraWeight, merged_tensors
from gpu_runner.networks.conditioning import Embedding
from gpu_runner.networks.loaded import TEXT_ENCODERS, LoadedCheckpoint
from gpu_runner.networks.loaded_text import LoadedTextEncoder
from gpu_runner.networks.module_copies import tiling, with_tensors
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable

from .loaders.checkpoint import vae_dtype
from .loaders.textual_inversion import vectors_of
from .memory_budget import CacheEntry
from .text_parts import no_encodings, with_text_encoders
from .variant import Variant, key_of, vae_key

log = logging.getLogger(__name__)


class PartStore(Protocol):
    """The model store interface used by VariantBuilder: file loaders and a cache of derived parts."""

    def lora(self, file: ModelFile) -> Lora: ...

    def vae(self, file: ModelFile, dtype: torch.dtype) -> AutoencoderKL: ...

    def text_encoder(self, file: ModelFile, dtype: torch.dtype) -> LoadedTextEncoder: ...

    def vectors(self, file: ModelFile, widths: list[int]) -> tuple[Tensor, ...]: ...

    def derived(self, key: str, base: str, needed: int, make: Callable[[], CacheEntry]) -> Any: ...


class VariantBuilder:
    """Builds one variant. Raises ModelUnavailable if a LoRA or VAE does not fit the checkpoint."""

    def __init__(self, store: PartStore, base: LoadedCheckpoint, variant: Variant) -> None:
        base = with_text_encoders(store, base, variant.text_encoders)
        self._store = store
        self._base = base
        self._variant = variant
        self._loras: dict[str, list[LoraWeight]] = {}
        self._bundled: dict[tuple[str, str], Parts] = {}  # embeddings inside the LoRAs
        self._changes: dict[str, list[str]] = {}  # per part: change descriptions for the cache key
        for use in sorted(variant.loras, key=lambda use: use.file.sha256):
            lora = store.lora(use.file)
            self._bundled |= {(use.file.sha256, name): parts for name, parts in lora.bundled.items()}
            for part in sorted(lora.parts(base)):
                if weight := use.unet if part == "unet" else use.text_encoder:
                    self._loras.setdefault(part, []).append(LoraWeight(lora, weight, use.rank))
                    self._changes.setdefault(part, []).append(f"{use.file.sha256}*{weight}@{use.rank}")

    def build(self) -> LoadedCheckpoint:
        unet_changes = [*self._changes.get("unet", ()), *self._tiled()]
        unet_key = key_of(self._base.unet_key, unet_changes)
        unet = self._part("unet", self._base.unet_key, unet_changes)
        vae_key, vae = self._vae()
        text = self._text()
        key = f"{unet_key} {text['text_key']} {vae_key}"
        return replace(self._base, key=key, unet_key=unet_key, vae_key=vae_key, unet=unet, vae=vae, **text)

    def _tiled(self) -> list[str]:
        return ["tiling"] if self._variant.tiling else []

    def _part(self, name: str, base_key: str, changes: list[str]) -> Any:
        if not changes:
            return getattr(self._base, name)
        # Memory estimate: the merged weights are larger than the LoRAs, but all other weights are shared.
        needed = sum(use.lora.size_bytes for use in self._loras.get(name, ()))
        key = f"{name} {key_of(base_key, changes)}"
        return self._store.derived(key, self._base.key, needed, lambda: self._merged_part(name))

    def _merged_part(self, name: str) -> CacheEntry:
        with torch.inference_mode(False), torch.no_grad():
            tensors = merged_tensors(self._base, name, self._loras.get(name, ()))
            module: nn.Module = with_tensors(getattr(self._base, name), tensors)
            if self._variant.tiling and name == "unet":
                module = tiling(module)
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        return CacheEntry(module, size, base=self._base.key)

    def _vae(self) -> tuple[str, Any]:
        file = self._variant.vae
        dtype = vae_dtype(self._base.family, self._base.dtype)
        vae = self._base.vae if file is None else self._store.vae(file, dtype)
        base_key = self._base.vae_key if file is None else vae_key(file, dtype)
        key = key_of(base_key, self._tiled())
        if not self._variant.tiling or (file is None and not self._base.has_vae):
            return key, vae
        return key, self._store.derived(
            f"vae {key}", base_key, 0, lambda: CacheEntry(tiling(vae), 0, base=base_key)
        )

    def _text(self) -> dict[str, Any]:
        changes = {name: self._changes.get(name, []) for name in TEXT_ENCODERS}
        key = key_of(self._base.text_key, [change for part in changes.values() for change in part])
        embeddings = {"embeddings": self._embeddings()}
        if key == self._base.text_key:
            return {"text_key": key, **embeddings}
        encoders = {name: self._part(name, self._base.text_key, changes[name]) for name in TEXT_ENCODERS}
        encodings = self._store.derived(
            f"encodings {key}", self._base.key, 0, lambda: no_encodings(self._base)
        )
        return {"text_key": key, "encodings": encodings, **encoders, **embeddings}

    def _embeddings(self) -> dict[str, Embedding]:
        """The embeddings of the prompts, and those inside the LoRAs, as far as they fit the checkpoint.

        A prompt's words select embeddings that no client asked for, so one that cannot be used is left out, as in
        A1111: its name is then drawn as the words that it consists of. An embedding of the registry takes precedence
        over one inside a LoRA.
        """
        if not self._base.has_text_encoder:
            return {}
        widths = [encoder.config.get_text_config().hidden_size for encoder in self._base.text_encoders]
        found: dict[str, Embedding] = {}
        for (sha256, name), tensors in self._bundled.items():
            try:
                found[name] = Embedding(name, f"{sha256} {name}", vectors_of(tensors, name, widths))
            except ModelUnavailable as error:
                log.warning("embedding left out: %s", error)
        for name, file in self._variant.embeddings:
            try:
                found[name] = Embedding(name, file.sha256, self._store.vectors(file, widths))
            except ModelUnavailable as error:
                log.warning("embedding left out: %s", error)
        return found
