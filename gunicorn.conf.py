"""Gunicorn configuration: `gunicorn` without arguments starts the site. Threads, because synchronous requests block."""

import os
import resource
import shutil
import sys
import tempfile
from pathlib import Path

_root = Path(__file__).resolve().parent
if (_root / "platform").is_dir():  # a checkout; an installed wheel has this file as config/gunicorn_conf.py
    sys.path[:0] = [str(_root), str(_root / "platform")]
    chdir = str(_root)
    pythonpath = f"{_root},{_root / 'platform'}"

from gunicorn.arbiter import Arbiter  # noqa: E402
from gunicorn.glogging import Logger  # noqa: E402
from gunicorn.http.message import Request  # noqa: E402
from gunicorn.workers.base import Worker  # noqa: E402

from config import kept_connections  # noqa: E402
from gpu_runner import logs  # noqa: E402

wsgi_app = "config.wsgi:application"
worker_class = "gthread"
workers = int(os.environ.get("WEB_WORKERS", "1"))
threads = int(os.environ.get("WEB_THREADS", "64"))
worker_connections = 10_000  # idle and waiting ones; a thread serves a request, not a connection
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))  # a connection is an open file
timeout = 0  # disabled: synchronous requests may take minutes
graceful_timeout = 10
keepalive = 30
control_socket_disable = True  # its path would be shared by all installations of a user
limit_request_line = 8190  # some clients send all parameters, including prompts, in the query string
logconfig_dict = logs.configuration(os.environ.get("LOG_FORMAT", "line"))
logconfig_dict["loggers"] |= {
    "gunicorn.error": {"handlers": [], "propagate": True},
}


class logger_class(Logger):
    """Logger without access log: its lines would contain query strings, which may contain secrets.

    The platform logs requests itself (``telemetry.request_log``).
    """

    def access(self, *request: object) -> None:
        pass


def pre_request(worker: Worker, request: Request) -> None:
    """The site closes connections whose body it has not read, and says so."""
    kept_connections.remember(request)


def on_starting(server: Arbiter) -> None:
    """Counters of requests are files that all web processes can read: see telemetry/counters.py."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="atelier-metrics-")


def on_exit(server: Arbiter) -> None:
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
