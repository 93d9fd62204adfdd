"""A checkpoint with LoRAs, another VAE, tiling or embeddings: what of it is its own, and under which names that is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from gpu_runner.protocol import ModelFile, RunRequest
from gpu_runner.protocol.generation_request import LoraUse


@dataclass(frozen=True)
class LoraFile:
    file: ModelFile
    unet: float
    text_encoder: float
    rank: int | None = None


@dataclass(frozen=True)
class Variant:
    vae: ModelFile | None = None
    loras: tuple[LoraFile, ...] = ()
    embeddings: tuple[tuple[str, ModelFile], ...] = ()  # the name that the prompts say, and its file
    tiling: bool = False

    @classmethod
    def of(cls, order: RunRequest, loras: tuple[LoraUse, ...]) -> Variant:
        request = order.request
        return cls(
            vae=order.file("vae", request.vae) if request.vae else None,
            loras=tuple(
                LoraFile(order.file("lora", use.name), use.unet, use.text_encoder, use.rank) for use in loras
            ),
            embeddings=tuple((name, order.file("embedding", name)) for name in request.embeddings),
            tiling=request.tiling,
        )


PLAIN = Variant()


def vae_key(file: ModelFile, dtype: torch.dtype) -> str:
    return f"vae:{file.sha256}:{dtype}"


def key_of(base: str, changes: Iterable[str]) -> str:
    """Equal where the changes are, in whatever order: so requests that differ elsewhere share what they have in common."""
    said = "|".join(sorted(changes))
    return f"{base}+{hashlib.sha256(said.encode()).hexdigest()[:16]}" if said else base
