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


def work() -> None:
    """What the background cluster does with queued files and callbacks, in this thread."""
    while run_next():
        pass
    while entry := OrmQ.objects.filter(key="background", lock__lte=timezone.now()).order_by("id").first():
        task = SignedPackage.loads(entry.payload)
        entry.delete()
        assert task["func"] == "jobs.outbound.callbacks.sender_pool.start"
        deliver(*task["args"])
