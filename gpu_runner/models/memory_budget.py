"""LRU cache bounded by bytes. Evicting an entry also evicts the entries derived from it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from gpu_runner.protocol import LoadedModel


@dataclass(frozen=True, eq=False)
class CacheEntry:
    value: Any
    size_bytes: int  # without the memory shared with its base
    base: str = ""  # key of the entry that it shares memory with
    file: LoadedModel | None = None  # source file; None for a variant
    evict_first: bool = (
        False  # before all others: a text encoder is used once for a prompt, a denoiser in every step
    )


class MemoryCache:
    """Thread-safe LRU cache with a budget in bytes.

    An entry larger than the whole budget is still stored, as the only one.
    """

    def __init__(self, budget_bytes: int, after_eviction: Callable[[], None] = lambda: None) -> None:
        self._budget = budget_bytes
        self._after_eviction = after_eviction
        self._entries: OrderedDict[str, CacheEntry] = OrderedDict()
        self._reserved = 0
        self._lock = Lock()

    def find(self, key: str) -> Any | None:
        """Return the value and mark it as used, or None.

        The base entry is marked as used after it, so that it is not evicted before its derived entries.
        """
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            if entry.base in self._entries:
                self._entries.move_to_end(entry.base)
            return entry.value

    @contextmanager
    def reserve(self, needed: int) -> Iterator[None]:
        """Evict entries and reserve ``needed`` bytes while the caller creates an entry."""
        with self._lock:
            file_evicted = self._evict(needed)
            self._reserved += needed
        if file_evicted:
            self._after_eviction()
        try:
            yield
        finally:
            with self._lock:
                self._reserved -= needed

    def put(self, key: str, entry: CacheEntry) -> None:
        """Store an entry unless its base was evicted meanwhile: the shared memory would not be counted."""
        with self._lock:
            if not entry.base or entry.base in self._entries:
                self._entries[key] = entry

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
        self._after_eviction()

    def files(self) -> list[LoadedModel]:
        """Source files of the cached entries, most recently used last."""
        with self._lock:
            return [entry.file for entry in self._entries.values() if entry.file is not None]

    @property
    def size_bytes(self) -> int:
        with self._lock:
            return self._used_bytes()

    def _used_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self._entries.values())

    def _evict(self, needed: int) -> bool:
        """Evict until ``needed`` bytes fit. Returns whether an entry loaded from a file was evicted."""
        file_evicted = False
        while self._entries and self._used_bytes() + self._reserved + needed > self._budget:
            key = next(
                (name for name, one in self._entries.items() if one.evict_first), next(iter(self._entries))
            )
            entry = self._entries.pop(key)
            for derived in [name for name, other in self._entries.items() if other.base == key]:
                del self._entries[derived]
            file_evicted = file_evicted or entry.file is not None
        return file_evicted
