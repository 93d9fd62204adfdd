"""Variants of a checkpoint (LoRAs, VAE, tiling, embeddings) and their cache keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from gpu_runner.protocol import ModelFile, RunRequest
from gpu_runner.protocol.request_parts.passes import LoraUse


@dataclass(frozen=True)
class LoraFile:
    """A LoRA file with its UNet and text encoder weights; ``rank`` truncates it, None keeps all ranks."""

    file: ModelFile
    unet: float
    text_encoder: float
    rank: int | None = None


@dataclass(frozen=True)
class Variant:
    """Changes that a request applies to a checkpoint."""

    vae: ModelFile | None = None
    loras: tuple[LoraFile, ...] = ()
    embeddings: tuple[tuple[str, ModelFile], ...] = ()  # name in the prompt, and its file
    tiling: bool = False
    text_encoders: tuple[ModelFile, ...] = ()  # in place of those of the checkpoint

    @classmethod
    def of(cls, run_request: RunRequest, loras: tuple[LoraUse, ...]) -> Variant:
        request = run_request.request
        return cls(
            vae=run_request.file("vae", request.vae) if request.vae else None,
            loras=tuple(
                LoraFile(run_request.file("lora", use.name), use.unet, use.text_encoder, use.rank)
                for use in loras
            ),
            embeddings=tuple((name, run_request.file("embedding", name)) for name in request.embeddings),
            tiling=request.tiling,
            text_encoders=run_request.text_encoders,
        )


PLAIN = Variant()


def text_encoder_key(file: ModelFile, dtype: torch.dtype) -> str:
    return f"text_encoder:{file.sha256}:{dtype}"


def vae_key(file: ModelFile, dtype: torch.dtype) -> str:
    return f"vae:{file.sha256}:{dtype}"


def key_of(base: str, changes: Iterable[str]) -> str:
    """Cache key of a base with changes, independent of their order, so that requests share common parts."""
    description = "|".join(sorted(changes))
    return f"{base}+{hashlib.sha256(description.encode()).hexdigest()[:16]}" if description else base
