"""A ComfyUI adapter that serves HTTP and is connected to a ComfyUI double."""

from __future__ import annotations

import threading
import time

import uvicorn

from gpu_runner.comfyui.app import ComfyRunnerApp
from gpu_runner.comfyui.backend import ComfyBackend

from .comfyui_double import Double
from .fake_runner import TOKEN


class Adapter:
    def __init__(self, double: Double, slots: int = 2, token: str = TOKEN) -> None:
        self.double = double
        self.backend = ComfyBackend(double.url, token, timeout_s=3)
        self.backend.start()
        self.backend.poller.refresh()
        application = ComfyRunnerApp(self.backend, token, slots).application()
        config = uvicorn.Config(application, port=0, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        threading.Thread(target=self._server.run, daemon=True).start()
        while not self._server.started:
            time.sleep(0.01)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def close(self) -> None:
        self.backend.stop()
        self._server.should_exit = self._server.force_exit = True
