"""Counters of requests, incremented in the web processes and summed over them by prometheus_client's multiprocess mode.

gunicorn.conf.py sets PROMETHEUS_MULTIPROC_DIR. Without it (runserver, tests) there is one process, and it counts in memory.
"""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

registry = CollectorRegistry()

refusals = Counter(
    "atelier_refusals", "Requests that did not become a job", ["dialect", "reason"], registry=registry
)
denials = Counter("atelier_denials", "Failed authentications", ["dialect", "reason"], registry=registry)
http_responses = Counter(
    "atelier_http_responses", "Responses of the web server", ["route", "status"], registry=registry
)


def collector() -> Collector:
    """The counters of all web processes of this host."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        return MultiProcessCollector(registry=None)
    return registry
