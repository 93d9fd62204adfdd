"""Infotext fields of VAE, refiner and LoRAs, named as in A1111. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from gpu_runner.protocol import GenerationRequest, ModelName

Files = Mapping[str, Mapping[str, str]]  # Job.files
SHORT, SHORT_OF_LORAS = 10, 12


def vae(request: GenerationRequest, files: Files) -> tuple[str | None, str | None]:
    """File name and short hash of the VAE; (None, None) for the checkpoint's own VAE."""
    if not request.vae:
        return None, None
    file = files[ModelName("vae", request.vae).key]
    return PurePosixPath(file["path"]).name, file["sha256"][:SHORT] or None


def vae_pairs(request: GenerationRequest, files: Files) -> dict[str, object]:
    name, short_hash = vae(request, files)
    return {"VAE hash": short_hash, "VAE": name}


def pairs(request: GenerationRequest, files: Files) -> dict[str, object]:
    """Fields that A1111 has in ``extra_generation_params``, in its order; None values are not written."""
    return {**_refiner(request, files), "Lora hashes": _lora_hashes(request, files)}


def _refiner(request: GenerationRequest, files: Files) -> dict[str, object]:
    if request.refiner is None:
        return {}
    file = files[ModelName("checkpoint", request.refiner.checkpoint).key]
    title = f"{PurePosixPath(file['path']).stem} [{file['sha256'][:SHORT]}]"
    return {"Refiner": title, "Refiner switch at": request.refiner.switch_at}


def _lora_hashes(request: GenerationRequest, files: Files) -> str | None:
    second = (request.hires.loras if request.hires else None) or ()
    names = dict.fromkeys(lora.name for lora in (*request.loras, *second))
    hashes = {name: _lora_hash(files[ModelName("lora", name).key]) for name in names}
    return ", ".join(f"{name}: {digest}" for name, digest in hashes.items() if digest) or None


def _lora_hash(file: Mapping[str, str]) -> str:
    return file.get("tensors_sha256", file["sha256"])[:SHORT_OF_LORAS]
