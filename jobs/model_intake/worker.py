"""Loads the queued model files, in threads of the parent process of the background cluster.

A download may take an hour. In a worker it would block callbacks and scans, and end when the worker is recycled. If the
process dies, the lease of its intake expires, and the sweep queues it again.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import close_old_connections, connection, models, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from jobs.errors import LeaseLost, Refused
from jobs.models.model_intake import IntakeState, ModelIntake
from jobs.outbound.callbacks import outbox
from models_registry.models import FOLDERS, ModelFile
from models_registry.scanning.install_file import InstallError

from . import installation
from .download import PART_PREFIX, download

log = logging.getLogger(__name__)

THREADS = 2
LOOK_EVERY_S = 2.0
MAX_ATTEMPTS = 3
LEASE = timedelta(minutes=2)
INSTALL_LEASE = timedelta(minutes=20)  # reading a large file for its hashes takes minutes, without progress
RENEW_S = 2.0
KEEP_FAILED = timedelta(days=30)
PART_AGE_S = 24 * 3600


def start(stop: threading.Event) -> list[threading.Thread]:
    """Start the threads that load the queued files, until ``stop`` is set."""
    # Daemons: the process ends without waiting for a download.
    threads = [
        threading.Thread(target=_work, args=(stop,), name="model-intake", daemon=True)
        for _n in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    return threads


def _work(stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            close_old_connections()
            is_idle = not run_next()
        except Exception:
            log.exception("loading a model failed")
            connection.close()
            is_idle = True
        if is_idle:
            stop.wait(LOOK_EVERY_S)
    connection.close()


def run_next() -> bool:
    """Load the next queued file to its end. Returns False if there is none."""
    intake = _claim()
    if intake is None:
        return False
    try:
        _run(intake)
    except LeaseLost:
        log.warning("intake %s: attempt %d lost its lease", intake.pk, intake.attempts)
    return True


def cancel(intake: ModelIntake) -> bool:
    """End an intake that is queued or running; its worker stops at the next part of the file. False if it is over."""
    with transaction.atomic():
        pending = ModelIntake.objects.filter(
            pk=intake.pk, state__in=[IntakeState.QUEUED, IntakeState.RUNNING]
        )
        if not pending.update(url=intake.address, error=_("Cancelled."), **_ended(IntakeState.FAILED)):
            return False
        outbox.intake_ended(intake.pk)
    installation.release(intake)
    return True


def sweep() -> int:
    """Queue again what was interrupted, and delete what is left of old failures. Returns the number of the former."""
    now = timezone.now()
    lost = ModelIntake.objects.filter(state=IntakeState.RUNNING, lease_until__lt=now)
    for intake in lost.filter(attempts__gte=MAX_ATTEMPTS):
        installation.release(intake)
        _end(intake, IntakeState.FAILED, error=_("Loading was interrupted several times."))
    again = lost.filter(attempts__lt=MAX_ATTEMPTS).update(state=IntakeState.QUEUED, lease_until=None)
    ModelIntake.objects.filter(state=IntakeState.FAILED, finished_at__lt=now - KEEP_FAILED).delete()
    _delete_old_parts()
    return again


def _claim() -> ModelIntake | None:
    """The oldest queued intake of a source that has none under way: one source does not occupy all threads."""
    busy = ModelIntake.objects.filter(state=IntakeState.RUNNING).values("source")
    queued = ModelIntake.objects.filter(state=IntakeState.QUEUED).exclude(source__in=busy)
    for intake in queued.order_by("created_at")[:THREADS]:
        now = timezone.now()
        claimed = ModelIntake.objects.filter(pk=intake.pk, state=IntakeState.QUEUED).update(
            state=IntakeState.RUNNING,
            attempts=F("attempts") + 1,
            lease_until=now + LEASE,
            started_at=now,
            received_bytes=0,
        )
        if claimed:
            return ModelIntake.objects.select_related("source").get(pk=intake.pk)
    return None


def _run(intake: ModelIntake) -> None:
    try:
        file = _load(intake)
    except (Refused, InstallError) as refused:
        _end(intake, IntakeState.FAILED, error=refused.message)
    except LeaseLost:
        raise
    except OSError as error:
        log.exception("intake %s failed", intake.pk)
        reason = error.strerror or type(error).__name__
        _end(
            intake,
            IntakeState.FAILED,
            error=_("The file could not be stored: %(reason)s.") % {"reason": reason},
        )
    except Exception:
        log.exception("intake %s failed", intake.pk)
        _end(intake, IntakeState.FAILED, error=_("Internal error."))
    else:
        _end(intake, IntakeState.READY, file=file)


def _load(intake: ModelIntake) -> ModelFile:
    done = _placed_before(intake)
    if done is not None:
        return done
    part = download(intake, _Progress(intake))
    try:
        size = part.file.stat().st_size
        _renew(intake, INSTALL_LEASE, received_bytes=size, total_bytes=size)
        return installation.install(intake, part)
    finally:
        part.file.unlink(missing_ok=True)


def _placed_before(intake: ModelIntake) -> ModelFile | None:
    """The registered file of an attempt that was interrupted right after it."""
    return ModelFile.objects.filter(intakes=intake, missing_since=None).first()


class _Progress:
    """Stores the received bytes, which renews the lease. Raises LeaseLost."""

    def __init__(self, intake: ModelIntake) -> None:
        self._intake = intake
        self._written_at = 0.0

    def __call__(self, received: int, total: int | None) -> None:
        if time.monotonic() - self._written_at >= RENEW_S:
            self._written_at = time.monotonic()
            _renew(self._intake, LEASE, received_bytes=received, total_bytes=total)


def _renew(intake: ModelIntake, lease: timedelta, **fields: int | None) -> None:
    if not _held(intake).update(lease_until=timezone.now() + lease, **fields):
        raise LeaseLost


def _held(intake: ModelIntake) -> models.QuerySet[ModelIntake]:
    return ModelIntake.objects.filter(pk=intake.pk, state=IntakeState.RUNNING, attempts=intake.attempts)


@transaction.atomic
def _end(intake: ModelIntake, state: IntakeState, *, error: str = "", file: ModelFile | None = None) -> None:
    """End the intake and make its callback due. Raises LeaseLost."""
    fields = {**_ended(state), "error": error[:500], **({"file": file} if file else {})}
    if not _held(intake).update(url=intake.address, **fields):
        raise LeaseLost
    outbox.intake_ended(intake.pk)


def _ended(state: IntakeState) -> dict[str, Any]:
    return {"state": state, "finished_at": timezone.now(), "lease_until": None}


def _delete_old_parts() -> None:
    for folder in FOLDERS.values():
        for part in (settings.MODELS_ROOT / folder).glob(f"{PART_PREFIX}*"):
            if part.stat().st_mtime < time.time() - PART_AGE_S:
                part.unlink(missing_ok=True)
