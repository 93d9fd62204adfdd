"""A bounded shelf of things that take memory. The least recently used leave first, and with them what was made of them."""

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
    size_bytes: int  # of its own: what it shares with its base is counted there
    base: str = ""  # the key of what it shares memory with
    file: LoadedModel | None = None  # where it comes from; a variation comes from no file


class MemoryCache:
    """An item that alone exceeds the budget is still taken, by itself."""

    def __init__(self, budget_bytes: int, after_eviction: Callable[[], None] = lambda: None) -> None:
        self._budget = budget_bytes
        self._after_eviction = after_eviction
        self._items: OrderedDict[str, CacheEntry] = OrderedDict()
        self._promised = 0
        self._lock = Lock()

    def find(self, key: str) -> Any | None:
        """Its base counts as used with it, and later: so the base never leaves first."""
        with self._lock:
            item = self._items.get(key)
            if item is None:
                return None
            self._items.move_to_end(key)
            if item.base in self._items:
                self._items.move_to_end(item.base)
            return item.value

    @contextmanager
    def room(self, needed: int) -> Iterator[None]:
        """Room for an item that is being made, kept free until it is put here or given up."""
        with self._lock:
            left = self._evict(needed)
            self._promised += needed
        if left:
            self._after_eviction()
        try:
            yield
        finally:
            with self._lock:
                self._promised -= needed

    def put(self, key: str, item: CacheEntry) -> None:
        """What was made of something that has left meanwhile is not kept: nobody would count what they share."""
        with self._lock:
            if not item.base or item.base in self._items:
                self._items[key] = item

    def clear(self) -> None:
        with self._lock:
            self._items.clear()
        self._after_eviction()

    def files(self) -> list[LoadedModel]:
        """The most recently used last."""
        with self._lock:
            return [item.file for item in self._items.values() if item.file is not None]

    @property
    def size_bytes(self) -> int:
        with self._lock:
            return self._taken()

    def _taken(self) -> int:
        return sum(item.size_bytes for item in self._items.values())

    def _evict(self, needed: int) -> bool:
        """Whether something that came from a file has left."""
        files_left = False
        while self._items and self._taken() + self._promised + needed > self._budget:
            key, item = self._items.popitem(last=False)
            for made_of_it in [name for name, other in self._items.items() if other.base == key]:
                del self._items[made_of_it]
            files_left = files_left or item.file is not None
        return files_left
