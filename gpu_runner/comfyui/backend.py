"""The jobs of one ComfyUI server, and what it tells of itself."""

from __future__ import annotations

import hashlib
import logging
import threading
from typing import Literal

from gpu_runner.comfyui.client import ComfyClient, Rejected, ServerTimeout
from gpu_runner.comfyui.inventory import InventoryPoller
from gpu_runner.protocol import Done, Event, Failed, LoadedModel, RunRequest
from gpu_runner.server.backend import OnEvent
from gpu_runner.server.status_report import Report

from .job import ComfyJob

log = logging.getLogger(__name__)

STOP_WAIT_S = 3.0


class ComfyBackend:
    def __init__(self, url: str, token: str, *, patience_s: float = 60.0) -> None:
        self.url = url
        self.client = ComfyClient(url)
        self.watch = InventoryPoller(self.client)
        # The same after a restart, so that prompts which a killed adapter left behind are known for ours.
        self.name = f"atelier-{hashlib.sha256(f'{token} {url}'.encode()).hexdigest()[:16]}"
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._drawings: dict[str, ComfyJob] = {}
        self._loaded: LoadedModel | None = None
        self._steps_total = 0

    def start(self) -> None:
        self.watch.look()
        self.remove_what_was_left()
        self.watch.start()

    def stop(self) -> None:
        self.watch.stop()
        with self._lock:
            drawings = list(self._drawings.values())
        for drawing in drawings:
            drawing.discard()
        for drawing in drawings:
            drawing.ended.wait(STOP_WAIT_S)

    def remove_what_was_left(self) -> None:
        try:
            for prompt_id, client_id in [*self.client.pending(), *self.client.running()]:
                if client_id.startswith(self.name):
                    log.warning("prompt %s was left behind; removing it", prompt_id)
                    self.client.remove(prompt_id)
                    self.client.interrupt(prompt_id)
        except (ServerTimeout, Rejected) as error:
            log.warning("could not look for prompts that were left behind: %s", error)

    @property
    def alive(self) -> bool:
        return True  # of a silent server the status tells

    def jobs(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._drawings)

    def submit(self, order: RunRequest, on_event: OnEvent) -> ComfyJob:
        def pass_on(event: Event) -> None:
            if isinstance(event, Done | Failed):
                self._forget(drawing)
            on_event(event)

        drawing = ComfyJob(
            self.client, self.url, self.name, order, lambda: self.watch.stock, pass_on, self._patience_s
        )
        with self._lock:
            older, self._drawings[order.job_id] = self._drawings.get(order.job_id), drawing
        if older is not None:
            older.discard()
        if order.checkpoint.sha256:
            self._loaded = LoadedModel(
                path=order.checkpoint.path, sha256=order.checkpoint.sha256, size_bytes=0
            )
        drawing.start()
        return drawing

    def cancel(self, job_id: str, mode: Literal["discard", "interrupt", "skip"]) -> bool:
        with self._lock:
            drawing = self._drawings.get(job_id)
        if drawing is None:
            return False
        drawing.cancel(mode)
        return True

    def unload(self) -> bool:
        if self.jobs():
            return False
        self.client.free()
        self._loaded = None
        return True

    def report(self) -> Report:
        stock = self.watch.stock
        return Report(
            backend="comfyui",
            device=stock.device,
            version=f"ComfyUI {stock.version}" if stock.version else "",
            loaded=(self._loaded,) if self._loaded else (),
            memory_bytes=stock.memory_bytes,
            steps_total=self._steps_total,
            problem=self.watch.problem,
            inventory=self.watch.digest,
        )

    def _forget(self, drawing: ComfyJob) -> None:
        with self._lock:
            self._steps_total += drawing.steps_run
            if self._drawings.get(drawing.order.job_id) is drawing:
                del self._drawings[drawing.order.job_id]
