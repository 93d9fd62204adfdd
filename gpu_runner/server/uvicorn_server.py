"""uvicorn server of a runner: prints its address, and stops the backend before the graceful shutdown waits for streams."""

from __future__ import annotations

import signal
import socket
import threading
from types import FrameType
from typing import Protocol

import uvicorn
from starlette.applications import Starlette


class Stoppable(Protocol):
    """A backend that can be stopped."""

    def stop(self) -> None:
        """End all jobs with Failed("stopping")."""


def configuration(application: Starlette) -> uvicorn.Config:
    """Return uvicorn's configuration; its log goes to the root logger."""
    return uvicorn.Config(
        application,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
    )


class Server(uvicorn.Server):
    """uvicorn server that stops the engine on SIGTERM and SIGINT."""

    def __init__(self, config: uvicorn.Config, engine: Stoppable) -> None:
        # uvicorn handles the signals while serving and raises them again afterwards, when they must be ignored.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        super().__init__(config)
        self._engine = engine

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            print(f"runner listening on http://{host}:{port}", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # In a thread: the signal may interrupt this thread while it holds the engine's lock.
        threading.Thread(target=self._engine.stop, daemon=True).start()
        super().handle_exit(sig, frame)
