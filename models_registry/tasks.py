"""Background tasks of the app, which the queue refers to by their dotted paths."""

from __future__ import annotations

from models_registry.models import ModelFile
from models_registry.models.scan_runs import ScanRun

from .scanning.scan import inspect_path
from .scanning.scan import scan as scan_models_root


def scan(run_id: int | None = None) -> str:
    """Scan MODELS_ROOT, report progress to the ScanRun, and return the summary."""
    run = ScanRun.objects.filter(pk=run_id).first() if run_id else None
    return scan_models_root(run=run).summary()


def inspect_again(ids: list[int]) -> int:
    """Inspect the files of these rows again, and return how many there were."""
    paths = list(ModelFile.objects.filter(pk__in=ids).values_list("path", flat=True))
    return sum(inspect_path(path) for path in paths)
