"""Readiness checks (``/readyz``): everything that generating an image requires. Reasons of failures are only logged."""

from __future__ import annotations

import logging
import os
import shutil
import socket
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from jobs.models import Backend, Runner
from telemetry.models import Mark

from .tasks import HEARTBEAT

log = logging.getLogger(__name__)

MAX_HEARTBEAT_AGE = timedelta(minutes=3)  # the background cluster writes a heartbeat once a minute
MAX_RUNNER_AGE = timedelta(seconds=60)  # a generation cluster polls its runner every two seconds
CACHE_S = 30  # how long a successful result of an expensive check is reused

Check = Callable[[], bool]


def database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


def migrations() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def storage() -> bool:
    name = default_storage.save(f"readyz/{socket.gethostname()}-{os.getpid()}", ContentFile(b"ready"))
    default_storage.delete(name)
    return True


def disk() -> bool:
    folder = next(folder for folder in (settings.DATA_DIR, *settings.DATA_DIR.parents) if folder.exists())
    return shutil.disk_usage(folder).free >= settings.DISK_FREE_MIN_MB * 2**20


def background() -> bool:
    return Mark.objects.filter(name=HEARTBEAT, at__gt=timezone.now() - MAX_HEARTBEAT_AGE).exists()


def runner() -> bool:
    seen = Runner.objects.filter(enabled=True, seen_at__gt=timezone.now() - MAX_RUNNER_AGE)
    return seen.filter(problem="").exclude(backend=Backend.TRAINING).exists()


def hand_over() -> bool:
    """Whether the generation workers begin the jobs that their cluster claims."""
    seen = Runner.objects.filter(enabled=True, seen_at__gt=timezone.now() - MAX_RUNNER_AGE)
    return not seen.filter(hand_over_lost_at__isnull=False).exists()


CHECKS: dict[str, Check] = {
    check.__name__: check for check in (database, migrations, storage, disk, background, runner, hand_over)
}
_EXPENSIVE = {"migrations", "storage"}  # their success is cached for each process


def run_checks() -> dict[str, bool]:
    """Result of each check by name."""
    return {name: _passes(name, check) for name, check in CHECKS.items()}


def _passes(name: str, check: Check) -> bool:
    cache_key = f"readiness:{name}"
    if cache.get(cache_key):
        return True
    try:
        passed = check()
    except Exception:  # any exception counts as a failed check
        log.exception("readiness check %s raised an exception", name)
        return False
    if not passed:
        log.warning("readiness check %s failed", name)
    elif name in _EXPENSIVE:
        cache.set(cache_key, True, CACHE_S)
    return passed
