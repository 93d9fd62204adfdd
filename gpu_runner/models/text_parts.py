"""Text encoders in files of their own, in the places of their kinds in a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from cachetools import LRUCache

from gpu_runner.networks.loaded import TEXT_ENCODERS, LoadedCheckpoint
from gpu_runner.networks.loaded_text import LoadedTextEncoder
from gpu_runner.networks.text.vision import reads_images
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable

from .memory_budget import CacheEntry
from .variant import text_encoder_key


class TextStore(Protocol):
    """The model store interface used here."""

    def text_encoder(self, file: ModelFile, dtype: torch.dtype) -> LoadedTextEncoder: ...

    def derived(self, key: str, base: str, needed: int, make: Callable[[], CacheEntry]) -> Any: ...


def with_text_encoders(
    store: TextStore, base: LoadedCheckpoint, files: Sequence[ModelFile]
) -> LoadedCheckpoint:
    """The checkpoint with these text encoders, and its own ones for the kinds that no file has.

    A diffusion model that contains its text encoders keeps them, as a second checkpoint beside a UNet alone.

    Raises ModelUnavailable if one does not fit the family, or if a kind is missing that the family needs.
    """
    if not files or (base.facts.flow is None and base.has_text_encoder):
        return base
    parts = base.facts.text
    named = {}
    for file in files:
        encoder = store.text_encoder(file, base.dtype)
        if encoder.kind not in [part.kind for part in parts]:
            raise ModelUnavailable(f"a text encoder {encoder.kind} does not fit {base.facts.label}")
        named[encoder.kind] = encoder.module, text_encoder_key(file, base.dtype)
    own = {kind: (module, base.text_key) for kind, module in base.encoders_by_kind.items()}
    found = own | named
    if missing := [part.kind for part in parts if part.kind not in found and not part.optional]:
        raise ModelUnavailable(f"{base.facts.label} needs the text encoders {', '.join(missing)}")
    if blind := next(
        (part.kind for part in parts if part.edits and not reads_images(found[part.kind][0])), None
    ):
        raise ModelUnavailable(f"{base.facts.label} needs the text encoder {blind} with its vision part")
    kinds = tuple(part.kind for part in parts if part.kind in found)
    sources = "+".join(found[kind][1] for kind in kinds)
    key = f"{base.family} {base.variant}:{sources}"
    modules = [found[kind][0] for kind in kinds]
    places: dict[str, Any] = dict(zip(TEXT_ENCODERS, [*modules, None, None], strict=False))
    encodings = store.derived(f"encodings {key}", base.key, 0, lambda: no_encodings(base))
    return replace(base, text_key=key, text_kinds=kinds, encodings=encodings, **places)


def no_encodings(base: LoadedCheckpoint) -> CacheEntry:
    """An empty cache of encoded prompts, which is evicted with the checkpoint."""
    return CacheEntry(LRUCache(base.encodings.maxsize), 0, base=base.key)
