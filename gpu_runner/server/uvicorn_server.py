"""A runner's web server: where it listens is told, and its event streams are ended before it waits for their end."""

from __future__ import annotations

import signal
import socket
import threading
from typing import TYPE_CHECKING, Protocol

import uvicorn

if TYPE_CHECKING:
    from types import FrameType

    from starlette.applications import Starlette


class Stoppable(Protocol):
    def stop(self) -> None: ...


def configuration(application: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        log_config=None,  # as every other line: to the root logger
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
    )


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, engine: Stoppable) -> None:
        # uvicorn takes the signals while it serves, and sends them again when it is done: then they have had their effect.
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
        # A signal may come while this very thread holds the engine's lock.
        threading.Thread(target=self._engine.stop, daemon=True).start()
        super().handle_exit(sig, frame)
