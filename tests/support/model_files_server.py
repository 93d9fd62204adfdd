"""A server that has model files, and the background cluster that loads them."""

from __future__ import annotations

from pathlib import Path

from django.utils import timezone
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from jobs.model_intake.worker import run_next
from jobs.outbound.callbacks.delivery import deliver

DEMO_MODELS = Path(__file__).resolve().parents[2] / "demo" / "models"


def demo_file(path: str) -> bytes:
    return (DEMO_MODELS / path).read_bytes()


def work() -> list[str]:
    """What the background cluster does with its tasks, in this thread. Returns their functions."""
    functions = []
    while entry := OrmQ.objects.filter(key="background", lock__lte=timezone.now()).order_by("id").first():
        task = SignedPackage.loads(entry.payload)
        entry.delete()
        functions.append(task["func"])
        if task["func"] == "jobs.model_intake.worker.start":
            while run_next():
                pass
        else:
            assert task["func"] == "jobs.outbound.callbacks.sender_pool.start"
            deliver(*task["args"])
    return functions
