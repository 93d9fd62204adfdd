"""How the site is served: plain `gunicorn` starts it. Threads, because synchronous dialects wait for their jobs."""

import os
from pathlib import Path

_root = Path(__file__).resolve().parent
chdir = str(_root)
pythonpath = f"{_root},{_root / 'platform'}"
wsgi_app = "config.wsgi:application"
worker_class = "gthread"
workers = int(os.environ.get("WEB_WORKERS", "1"))
threads = int(os.environ.get("WEB_THREADS", "64"))
timeout = 0  # a synchronous generation may take minutes; gthread's own heartbeat is of no use against it
graceful_timeout = 10
keepalive = 30
