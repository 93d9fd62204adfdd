"""``python -m gpu_runner.comfyui --url http://…:8188``: one process for one ComfyUI server. No torch."""

from __future__ import annotations

import argparse
import os
import socket
import sys

from gpu_runner import logs
from gpu_runner.comfyui.backend import ComfyBackend
from gpu_runner.server.uvicorn_server import Server, configuration

from .app import ComfyDoor


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    env = os.environ.get
    parser = argparse.ArgumentParser("gpu_runner.comfyui", description="Draws pictures on a ComfyUI server.")
    parser.add_argument("--url", default=env("COMFYUI_URL", ""), help="of the ComfyUI server")
    parser.add_argument("--host", default=env("RUNNER_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=env("RUNNER_PORT", "0"), help="0 takes a free one")
    parser.add_argument(
        "--slots",
        type=int,
        default=env("RUNNER_SLOTS", "2"),
        help="jobs held at the same time; ComfyUI draws one, another keeps it busy",
    )
    parser.add_argument(
        "--patience-s", type=float, default=60.0, help="after so much silence a job goes back to the queue"
    )
    options = parser.parse_args(arguments)
    if not options.url.startswith(("http://", "https://")):
        parser.error("--url must be the address of a ComfyUI server, as http://127.0.0.1:8188")
    if options.slots < 1:
        parser.error("--slots must be at least 1")
    options.token = env("RUNNER_TOKEN", "")
    if not options.token:
        parser.error("set RUNNER_TOKEN: every caller must know it")
    return options


def main() -> int:
    logs.configure(os.environ.get("LOG_FORMAT", "line"), os.environ.get("LOG_LEVEL", "INFO"))
    options = parse()
    try:
        listener = socket.create_server((options.host, options.port), backlog=128)
    except OSError as error:
        place = f"{options.host}:{options.port}"
        print(f"gpu_runner.comfyui: cannot listen on {place}: {error.strerror}", file=sys.stderr)
        return 1
    backend = ComfyBackend(options.url.rstrip("/"), options.token, patience_s=options.patience_s)
    backend.start()
    application = ComfyDoor(backend, options.token, options.slots).application()
    Server(configuration(application), backend).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # nobody waits for threads that wait for a server
