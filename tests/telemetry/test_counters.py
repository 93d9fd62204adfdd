import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from telemetry import counters

PLATFORM = Path(counters.__file__).parents[1]
COUNT = (
    'from telemetry import counters; counters.refusals.labels(dialect="native", reason="queue_full").inc()'
)
SHOW = """
from prometheus_client import CollectorRegistry, generate_latest
from telemetry import counters
registry = CollectorRegistry()
registry.register(counters.collector())
print(generate_latest(registry).decode())
"""
ONE = 'atelier_refusals_total{dialect="native",reason="queue_full"} %.1f'


def run(code: str, folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(PLATFORM), "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.slow
def test_scrape_shows_the_sum_over_all_processes(tmp_path: Path):
    run(COUNT, tmp_path)
    run(COUNT, tmp_path)
    assert ONE % 2 in run(SHOW, tmp_path)


def test_single_process_counts_in_memory():
    labels = {"dialect": "native", "reason": "test of a single process"}
    counters.refusals.labels(**labels).inc()
    registry = CollectorRegistry()
    registry.register(counters.collector())
    assert registry.get_sample_value("atelier_refusals_total", labels) == 1
    assert b"atelier_refusals_total" in generate_latest(registry)
