"""Command ``python -m gpu_runner.comfyui --url http://…:8188``: one process per ComfyUI server. No torch."""

from __future__ import annotations

import argparse
import os
import socket
import sys

from gpu_runner import logs
from gpu_runner.comfyui.backend import ComfyBackend
from gpu_runner.server.uvicorn_server import Server, configuration

from .app import ComfyRunnerApp


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line. Exits with an error message if an option is invalid."""
    env = os.environ.get
    parser = argparse.ArgumentParser(
        "gpu_runner.comfyui", description="Runner that executes jobs on a ComfyUI server."
    )
    parser.add_argument("--url", default=env("COMFYUI_URL", ""), help="URL of the ComfyUI server")
    parser.add_argument("--host", default=env("RUNNER_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=env("RUNNER_PORT", "0"), help="0: any free port")
    parser.add_argument(
        "--slots",
        type=int,
        default=env("RUNNER_SLOTS", "2"),
        help="jobs accepted at the same time; ComfyUI runs one, the others wait in its queue",
    )
    parser.add_argument(
        "--patience-s",
        type=float,
        default=60.0,
        help="seconds without a response of ComfyUI after which a job is requeued",
    )
    options = parser.parse_args(arguments)
    if not options.url.startswith(("http://", "https://")):
        parser.error(
            f"--url must be the URL of a ComfyUI server, such as http://127.0.0.1:8188 (got {options.url!r})"
        )
    if options.slots < 1:
        parser.error(f"--slots must be at least 1 (got {options.slots})")
    options.token = env("RUNNER_TOKEN", "")
    if not options.token:
        parser.error("RUNNER_TOKEN must be set: it is the bearer token of the API")
    return options


def main() -> int:
    """Run the adapter until it is stopped. Returns the exit status."""
    logs.configure(os.environ.get("LOG_FORMAT", "line"), os.environ.get("LOG_LEVEL", "INFO"))
    options = parse()
    try:
        listener = socket.create_server((options.host, options.port), backlog=128)
    except OSError as error:
        address = f"{options.host}:{options.port}"
        print(f"gpu_runner.comfyui: cannot listen on {address}: {error.strerror}", file=sys.stderr)
        return 1
    backend = ComfyBackend(options.url.rstrip("/"), options.token, timeout_s=options.patience_s)
    backend.start()
    application = ComfyRunnerApp(backend, options.token, options.slots).application()
    Server(configuration(application), backend).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # without waiting for threads that are blocked on the server
