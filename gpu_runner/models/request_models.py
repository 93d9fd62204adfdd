"""The checkpoints of one request, each with the LoRAs, VAE and embeddings that it is drawn with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.protocol import RunRequest

from .store import ModelStore
from .variant import Variant


@dataclass(frozen=True)
class Models:
    checkpoint: LoadedCheckpoint
    refiner: LoadedCheckpoint | None = None
    hires: LoadedCheckpoint | None = None  # of the second pass; None without one

    @classmethod
    def of(cls, store: ModelStore, order: RunRequest) -> Models:
        """Raises ModelUnavailable."""
        variation = Variant.of(order, order.request.loras)
        checkpoint = store.get(order.checkpoint, variation)
        return cls(checkpoint, _refiner(store, order, variation, checkpoint), _hires(store, order))


def _refiner(
    store: ModelStore, order: RunRequest, variation: Variant, checkpoint: LoadedCheckpoint
) -> LoadedCheckpoint | None:
    """LoRAs and embeddings of the checkpoint go with it where its architecture is the same."""
    if order.request.refiner is None or order.request.refiner.switch_at == 1:
        return None
    file = order.file("checkpoint", order.request.refiner.checkpoint)
    if not store.checkpoint(file).is_built_like(checkpoint):
        variation = replace(variation, loras=(), embeddings=())
    return store.get(file, variation)


def _hires(store: ModelStore, order: RunRequest) -> LoadedCheckpoint | None:
    request, hires = order.request, order.request.hires
    if hires is None:
        return None
    file = order.file("checkpoint", hires.checkpoint) if hires.checkpoint else order.checkpoint
    return store.get(file, Variant.of(order, request.loras if hires.loras is None else hires.loras))
