"""What the background cluster runs, named by string in the queue."""

from __future__ import annotations

from models_registry.scan_runs import ScanRun

from .scanning import scan as scanning


def scan(run_id: int | None = None) -> str:
    run = ScanRun.objects.filter(pk=run_id).first() if run_id else None
    return scanning.scan(run=run).summary()
