"""How the site is served: plain `gunicorn` starts it. Threads, because synchronous dialects wait for their jobs."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

_root = Path(__file__).resolve().parent
if (_root / "platform").is_dir():  # a checkout; an installed wheel has this file as config/gunicorn_conf.py
    sys.path.insert(0, str(_root))
    chdir = str(_root)
    pythonpath = f"{_root},{_root / 'platform'}"

from gunicorn.arbiter import Arbiter  # noqa: E402
from gunicorn.glogging import Logger  # noqa: E402

from gpu_runner import logs  # noqa: E402

wsgi_app = "config.wsgi:application"
worker_class = "gthread"
workers = int(os.environ.get("WEB_WORKERS", "1"))
threads = int(os.environ.get("WEB_THREADS", "64"))
timeout = 0  # a synchronous generation may take minutes; gthread's own heartbeat is of no use against it
graceful_timeout = 10
keepalive = 30
control_socket_disable = True  # one path for all of a user's installations
limit_request_line = 8190  # some clients send every parameter in the query, prompts included
logconfig_dict = logs.configuration(os.environ.get("LOG_FORMAT", "line"))
logconfig_dict["loggers"] |= {
    "gunicorn.error": {"handlers": [], "propagate": True},
}


class logger_class(Logger):
    """Without a line for each request: it would have query strings, and those may have keys. The platform writes its own."""

    def access(self, *request: object) -> None:
        pass


def on_starting(server: Arbiter) -> None:
    """Counters of requests are files that all web processes can read: see telemetry/counters.py."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="atelier-metrics-")


def on_exit(server: Arbiter) -> None:
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
