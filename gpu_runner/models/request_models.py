"""The checkpoints of one request, with its LoRAs, VAE and embeddings applied."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.protocol import ModelFile, RunRequest
from gpu_runner.protocol.errors import ModelUnavailable

from .store import ModelStore
from .variant import Variant


@dataclass(frozen=True)
class Models:
    """Base checkpoint, refiner and hires checkpoint of one request."""

    checkpoint: LoadedCheckpoint
    refiner: LoadedCheckpoint | None = None
    hires: LoadedCheckpoint | None = None  # checkpoint of the hires pass; None without one

    @classmethod
    def of(cls, store: ModelStore, run_request: RunRequest) -> Models:
        """Load the models of a request. Raises ModelUnavailable."""
        variant = Variant.of(run_request, run_request.request.loras)
        checkpoint = _with_vae(store.get(run_request.checkpoint_file, variant), run_request.checkpoint_file)
        return cls(checkpoint, _refiner(store, run_request, variant, checkpoint), _hires(store, run_request))


def _refiner(
    store: ModelStore, run_request: RunRequest, variant: Variant, checkpoint: LoadedCheckpoint
) -> LoadedCheckpoint | None:
    """The refiner uses the request's LoRAs and embeddings only if its architecture matches the checkpoint."""
    if run_request.request.refiner is None or run_request.request.refiner.switch_at == 1:
        return None
    file = run_request.file("checkpoint", run_request.request.refiner.checkpoint)
    if not store.checkpoint(file).is_built_like(checkpoint):
        variant = replace(variant, loras=(), embeddings=())
    return store.get(file, variant)


def _hires(store: ModelStore, run_request: RunRequest) -> LoadedCheckpoint | None:
    request, hires = run_request.request, run_request.request.hires
    if hires is None:
        return None
    file = (
        run_request.file("checkpoint", hires.checkpoint) if hires.checkpoint else run_request.checkpoint_file
    )
    loras = request.loras if hires.loras is None else hires.loras
    return _with_vae(store.get(file, Variant.of(run_request, loras)), file)


def _with_vae(checkpoint: LoadedCheckpoint, file: ModelFile) -> LoadedCheckpoint:
    """A refiner needs no VAE; the other checkpoints do."""
    if not checkpoint.has_text_encoder:
        kinds = ", ".join(part.kind for part in checkpoint.facts.text)
        raise ModelUnavailable(f"{file.path} has no text encoder, and no file of one was named ({kinds})")
    if not checkpoint.has_vae:
        raise ModelUnavailable(f"{file.path} has no VAE, and the request names none")
    return checkpoint
