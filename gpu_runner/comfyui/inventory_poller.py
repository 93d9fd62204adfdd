"""Follows a ComfyUI server in a thread: its load every few seconds, its inventory only when that may have changed.

ComfyUI describes its nodes with its event loop standing still, on large installations for a minute. So the nodes are
read at the start, after the server was away, after a change of its version or of a model folder, and on request;
while prompts are queued, a change waits for ``BUSY_DELAY_S`` at most.
"""

from __future__ import annotations

import hashlib
import threading
import time
from typing import Any

from gpu_runner.comfyui.client import ComfyClient, Rejected, ServerTimeout
from gpu_runner.comfyui.inventory import Listing, ServerInventory, read_inventory, read_listing
from gpu_runner.protocol import ServerLoad

POLL_INTERVAL_S = 10.0
LISTING_INTERVAL_S = 60.0
BUSY_DELAY_S = 120.0
RETRY_S = 60.0  # after the nodes could not be read
NEVER = float("-inf")
NO_RESPONSE = "ComfyUI does not respond"
READING = "ComfyUI's inventory is being read"
REFUSED = "ComfyUI refused the credentials of this server"


class InventoryPoller:
    """Polls a server. ``inventory`` and ``load`` are the latest; ``problem`` is why no job can run, or empty."""

    def __init__(self, client: ComfyClient) -> None:
        self._client = client
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._looking = threading.Lock()
        self.inventory = ServerInventory()
        self.digest = ""
        self.load = ServerLoad()
        self.problem = NO_RESPONSE
        self._listing: Listing | None = None
        self._listed_at = NEVER
        self._stale_since: float | None = NEVER  # None: nothing to read
        self._retry_at = NEVER

    def start(self) -> None:
        """Start the polling thread."""
        threading.Thread(target=self._run, name="inventory", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()

    def request(self) -> None:
        """Have the inventory read again soon, for example because a job did not fit it."""
        self._mark_stale()
        self._listed_at, self._retry_at = NEVER, NEVER
        self._wake.set()

    def refresh(self) -> None:
        """Read load and inventory now."""
        self._mark_stale()
        self._listed_at, self._retry_at = NEVER, NEVER
        self.look(may_wait=False)

    def look(self, *, may_wait: bool = True) -> None:
        """Poll once: the load, and if it is due, the files and the nodes."""
        with self._looking:
            try:
                device, version = self._look_at_load()
                self._look_at_files()
                if self._is_due(may_wait):
                    self._read_nodes(device, version)
            except (ServerTimeout, Rejected) as error:
                self._failed(error)
                return
            if self.inventory.nodes:
                self.problem = ""

    def _look_at_load(self) -> tuple[str, str]:
        stats = self._client.system_stats()
        device: dict[str, Any] = next(iter(stats.get("devices") or []), {})
        system = stats.get("system") if isinstance(stats.get("system"), dict) else {}
        version = str((system or {}).get("comfyui_version", ""))[:40]
        if self.problem.startswith(NO_RESPONSE) or version != self.inventory.version:
            self._mark_stale()
        self.load = ServerLoad(
            queue=self._client.queue_remaining(),
            memory_total=_bytes(device.get("vram_total")),
            memory_free=_bytes(device.get("vram_free")),
        )
        return str(device.get("name", ""))[:150], version

    def _look_at_files(self) -> None:
        now = time.monotonic()
        if self._listing is not None and now - self._listed_at < LISTING_INTERVAL_S:
            return
        listing = read_listing(self._client)
        self._listed_at = now
        if listing != self._listing:
            self._listing = listing
            self._mark_stale()

    def _is_due(self, may_wait: bool) -> bool:
        if self._stale_since is None:
            return False
        now = time.monotonic()
        if not self.inventory.nodes or not may_wait:
            return now >= self._retry_at
        waited = now - self._stale_since >= BUSY_DELAY_S
        return now >= self._retry_at and (self.load.queue == 0 or waited)

    def _read_nodes(self, device: str, version: str) -> None:
        if not self.inventory.nodes:
            self.problem = READING
        self._retry_at = time.monotonic() + RETRY_S
        inventory = read_inventory(self._client, self._listing or {}, device, version)
        document = inventory.as_inventory().model_dump_json()
        self.inventory, self.digest = inventory, hashlib.sha256(document.encode()).hexdigest()
        self._stale_since, self._retry_at = None, NEVER

    def _failed(self, error: ServerTimeout | Rejected) -> None:
        if isinstance(error, Rejected) and error.status in (401, 403):
            self.problem = f"{REFUSED}: status {error.status}"
        else:
            self.problem = f"{NO_RESPONSE}: {error}"[:300]

    def _mark_stale(self) -> None:
        if self._stale_since is None:
            self._stale_since = time.monotonic()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.look()
            self._wake.wait(POLL_INTERVAL_S if not self.problem else POLL_INTERVAL_S / 5)
            self._wake.clear()


def _bytes(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
