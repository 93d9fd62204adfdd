"""Checkpoints in memory: loaded when asked for, dropped when others need the room."""

from __future__ import annotations

import gc
from collections import OrderedDict
from pathlib import Path
from threading import Lock

import torch

from gpu_runner.checkpoint_loading import LoadedCheckpoint, expected_size, load_checkpoint
from gpu_runner.model_files import HashBook, ModelUnavailable, locate, open_tensors
from gpu_runner.protocol import LoadedModel, ModelFile

__all__ = ["LoadedCheckpoint", "ModelStore", "ModelUnavailable"]


class ModelStore:
    """The least recently used checkpoints go first. One that alone exceeds the budget is still loaded, by itself."""

    def __init__(self, root: Path, device: torch.device | str, dtype: torch.dtype, budget_bytes: int) -> None:
        self._root = root
        self._device = torch.device(device)
        self._dtype = dtype
        self._budget = budget_bytes
        self._hashes = HashBook()
        self._held: OrderedDict[str, tuple[LoadedModel, LoadedCheckpoint]] = OrderedDict()
        self._table = Lock()
        self._loading = Lock()  # one load at a time: two at once would overrun the budget

    def get(self, file: ModelFile) -> LoadedCheckpoint:
        """Raises ModelUnavailable."""
        if held := self._find(file):
            return held
        with self._loading:
            return self._find(file) or self._load(file)

    def loaded(self) -> list[LoadedModel]:
        """What is in memory, the most recently used last."""
        with self._table:
            return [model for model, _checkpoint in self._held.values()]

    def _find(self, file: ModelFile) -> LoadedCheckpoint | None:
        with self._table:
            if file.sha256 not in self._held:
                return None
            self._held.move_to_end(file.sha256)
            return self._held[file.sha256][1]

    def _load(self, file: ModelFile) -> LoadedCheckpoint:
        path = locate(self._root, file)
        self._hashes.check(path, file)
        with open_tensors(path, file.path) as tensors:
            self._make_room(expected_size(tensors, self._dtype))
            checkpoint = load_checkpoint(tensors, file.path, file.sha256, self._device, self._dtype)
        described = LoadedModel(path=file.path, sha256=file.sha256, size_bytes=checkpoint.size_bytes)
        with self._table:
            self._held[file.sha256] = (described, checkpoint)
        return checkpoint

    def _make_room(self, needed: int) -> None:
        with self._table:
            before = len(self._held)
            while (
                self._held
                and needed + sum(model.size_bytes for model, _ in self._held.values()) > self._budget
            ):
                self._held.popitem(last=False)
            evicted = before - len(self._held)
        if evicted:
            gc.collect()  # modules and their hooks refer to each other in circles
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
