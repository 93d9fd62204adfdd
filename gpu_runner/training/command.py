"""Command ``python -m gpu_runner train``: a server that trains LoRAs, one worker process for each. No torch."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

from gpu_runner import logs
from gpu_runner.server.app import RunnerApp
from gpu_runner.server.uvicorn_server import Server, configuration

from .backend import TrainingBackend

MAX_BODY_BYTES = 256 * 1024 * 1024  # a data set, as base64


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse command line options; the defaults come from environment variables."""
    env = os.environ.get
    parser = argparse.ArgumentParser("gpu_runner train", description="Trains LoRAs on one device.")
    parser.add_argument("--host", default=env("RUNNER_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=env("RUNNER_PORT", "0"), help="0: any free port")
    parser.add_argument("--models-root", type=Path, default=env("MODELS_ROOT", "var/models"))
    parser.add_argument(
        "--work-dir",
        type=Path,
        default=env("TRAINING_DIR", "var/trainings"),
        help="states of trainings, from which they resume",
    )
    parser.add_argument("--slots", type=int, default=1, help="trainings at the same time")
    parser.add_argument("--device", default=env("RUNNER_DEVICE", "auto"), help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=env("TORCH_THREADS", "0"), help="0: all cores")
    options = parser.parse_args(arguments)
    if options.slots < 1:
        parser.error("--slots must be at least 1")
    options.token = env("RUNNER_TOKEN", "")
    if not options.token:
        parser.error("RUNNER_TOKEN must be set: it is the bearer token of the API")
    return options


def main(arguments: list[str]) -> int:
    """Run the trainer until it is stopped. Returns the exit status."""
    logs.configure(os.environ.get("LOG_FORMAT", "line"), os.environ.get("LOG_LEVEL", "INFO"))
    options = parse(arguments)
    try:
        listener = socket.create_server((options.host, options.port), backlog=128)
    except OSError as error:
        address = f"{options.host}:{options.port}"
        print(f"gpu_runner train: cannot listen on {address}: {error.strerror}", file=sys.stderr)
        return 1
    backend = TrainingBackend(options.models_root, options.work_dir, options.device, options.threads)
    backend.start()
    application = RunnerApp(backend, options.token, options.slots, MAX_BODY_BYTES).application()
    Server(configuration(application), backend).run(sockets=[listener])
    return 0
