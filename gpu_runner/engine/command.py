"""Command ``python -m gpu_runner``: a runner process for one device."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before importing libraries that would download files

import torch
import uvicorn

from gpu_runner import logs
from gpu_runner.models import devices
from gpu_runner.models.store import ModelStore
from gpu_runner.server.app import RunnerApp
from gpu_runner.server.uvicorn_server import Server, configuration

from . import gc_tuning, speed_options
from .engine import Engine

CACHE_SHARE = 0.6  # share of device memory for models; the rest is for activations


class EngineServer(Server):
    """HTTP server that exits when its engine fails."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config, engine)
        self.engine_failed = False
        self._watched_engine = engine

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        threading.Thread(target=self._exit_with_engine, name="engine-watch", daemon=True).start()

    def _exit_with_engine(self) -> None:
        """Exit when the engine fails. The supervisor restarts the process, which recovers a lost device."""
        self.engine_failed = self._watched_engine.wait_for_end()
        self.should_exit = True


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse command line options; the defaults come from environment variables."""
    env = os.environ.get
    parser = argparse.ArgumentParser("gpu_runner", description="Generates images on one device.")
    parser.add_argument("--host", default=env("RUNNER_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=env("RUNNER_PORT", "0"), help="0: any free port")
    parser.add_argument("--models-root", type=Path, default=env("MODELS_ROOT", "var/models"))
    parser.add_argument(
        "--slots", type=int, default=env("RUNNER_SLOTS", "4"), help="jobs accepted at the same time"
    )
    parser.add_argument("--device", default=env("RUNNER_DEVICE", "auto"), help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=env("TORCH_THREADS", "0"), help="0: all cores")
    parser.add_argument(
        "--model-cache-mb",
        type=int,
        default=env("MODEL_CACHE_MB", "0"),
        help="0: a share of the device's memory",
    )
    parser.add_argument(
        "--model-ram-mb",
        type=int,
        default=env("MODEL_RAM_MB", "0"),
        help="memory for models that do not fit into the device's memory; 0: automatic",
    )
    speed_options.add_to(parser)
    options = parser.parse_args(arguments)
    if options.slots < 1:
        parser.error("--slots must be at least 1")
    options.token = env("RUNNER_TOKEN", "")
    if not options.token:
        parser.error("RUNNER_TOKEN must be set: it is the bearer token of the API")
    return options


def build_engine(options: argparse.Namespace) -> Engine:
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True
    device = devices.pick(options.device)
    budget = options.model_cache_mb * 2**20 or int(devices.capacity_bytes(device) * CACHE_SHARE)
    ram = options.model_ram_mb * 2**20 or devices.ram_for_models(device)
    dtype = devices.default_dtype(device)
    on_loaded = speed_options.prepare(options, device)
    store = ModelStore(
        options.models_root,
        device,
        dtype,
        budget,
        ram,
        on_loaded,
        float8=options.weight_storage == speed_options.FLOAT8,
    )
    return Engine(store, device, attention=options.attention_backend)


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
    try:
        engine = build_engine(options)
    except devices.DeviceUnavailable as error:
        print(f"gpu_runner: {error}", file=sys.stderr)
        return 1
    gc_tuning.tune()
    engine.start()
    speed_options.warm_up(options, engine.store)
    application = RunnerApp(engine, options.token, options.slots).application()
    server = EngineServer(configuration(application), engine)
    server.run(sockets=[listener])
    return int(server.engine_failed)
