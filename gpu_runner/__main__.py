"""``python -m gpu_runner``: one process for one device."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before the libraries that would look for files on the internet

import torch
import uvicorn

from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.server.app import RunnerApp
from gpu_runner.server.uvicorn_server import Server, configuration

from . import logs
from .engine import gc_tuning
from .models import devices

CACHE_SHARE = 0.6  # of the device's memory, for models; the rest is for the pictures under way


class EngineServer(Server):
    """Ends with its engine."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config, engine)
        self.engine_died = False
        self._watched = engine

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        threading.Thread(target=self._end_with_the_engine, name="engine-watch", daemon=True).start()

    def _end_with_the_engine(self) -> None:
        """A lost device comes back in a new process only; whoever supervises this one starts it again."""
        self.engine_died = self._watched.wait_for_death()
        self.should_exit = True


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    env = os.environ.get
    parser = argparse.ArgumentParser("gpu_runner", description="Draws pictures for one device.")
    parser.add_argument("--host", default=env("RUNNER_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=env("RUNNER_PORT", "0"), help="0 takes a free one")
    parser.add_argument("--models-root", type=Path, default=env("MODELS_ROOT", "var/models"))
    parser.add_argument(
        "--slots", type=int, default=env("RUNNER_SLOTS", "4"), help="jobs held at the same time"
    )
    parser.add_argument("--device", default=env("RUNNER_DEVICE", "auto"), help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=env("TORCH_THREADS", "0"), help="0 takes every core")
    parser.add_argument(
        "--model-cache-mb", type=int, default=env("MODEL_CACHE_MB", "0"), help="0 chooses itself"
    )
    parser.add_argument(
        "--model-ram-mb",
        type=int,
        default=env("MODEL_RAM_MB", "0"),
        help="for models that the device's memory has no room for; 0 chooses itself",
    )
    options = parser.parse_args(arguments)
    if options.slots < 1:
        parser.error("--slots must be at least 1")
    options.token = env("RUNNER_TOKEN", "")
    if not options.token:
        parser.error("set RUNNER_TOKEN: every caller must know it")
    return options


def build_engine(options: argparse.Namespace) -> Engine:
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True
    device = devices.pick(options.device)
    budget = options.model_cache_mb * 2**20 or int(devices.capacity_bytes(device) * CACHE_SHARE)
    ram = options.model_ram_mb * 2**20 or devices.ram_for_models(device)
    dtype = devices.default_dtype(device)
    return Engine(ModelStore(options.models_root, device, dtype, budget, ram), device)


def main() -> int:
    logs.configure(os.environ.get("LOG_FORMAT", "line"), os.environ.get("LOG_LEVEL", "INFO"))
    options = parse()
    try:
        listener = socket.create_server((options.host, options.port), backlog=128)
    except OSError as error:
        print(
            f"gpu_runner: cannot listen on {options.host}:{options.port}: {error.strerror}", file=sys.stderr
        )
        return 1
    engine = build_engine(options)
    gc_tuning.tune()
    engine.start()
    application = RunnerApp(engine, options.token, options.slots).application()
    server = EngineServer(configuration(application), engine)
    server.run(sockets=[listener])
    return int(server.engine_died)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the engine's thread may be deep in a call, which nobody waits for any more
