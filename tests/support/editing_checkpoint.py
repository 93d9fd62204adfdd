"""A row of the registry for a checkpoint that reads reference images, with all of its parts in one file."""

from __future__ import annotations

from models_registry.models import ENCODERS, Family, Kind, ModelFile


def editing_checkpoint(name: str = "klein") -> ModelFile:
    """FLUX.2, which takes four images."""
    return ModelFile.objects.create(
        kind=Kind.CHECKPOINT,
        family=Family.FLUX2,
        name=name,
        path=f"checkpoints/{name}.safetensors",
        sha256="e" * 64,
        metadata={ENCODERS: "qwen3_4b"},
        default_sampler="Euler",
        default_scheduler="SGM Uniform",
    )
