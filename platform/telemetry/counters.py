"""Request counters of the web processes, summed by prometheus_client's multiprocess mode.

gunicorn.conf.py sets PROMETHEUS_MULTIPROC_DIR. Without it (runserver, tests), the single process counts in
memory.
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
text_model_calls = Counter(
    "atelier_text_model_calls", "Calls of the text model", ["outcome"], registry=registry
)
http_responses = Counter(
    "atelier_http_responses", "Responses of the web server", ["route", "status"], registry=registry
)


def collector() -> Collector:
    """Return a collector over the counters of all web processes on this host."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        return MultiProcessCollector(registry=None)
    return registry
