"""Whether everything that a picture needs is there. Each check answers yes or no; why not is for the log."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import time
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from jobs.models import Runner
from telemetry.models import Mark

from .tasks import HEARTBEAT

log = logging.getLogger(__name__)

ALIVE_WITHIN = timedelta(minutes=3)  # the background cluster shows life once a minute
SEEN_WITHIN = timedelta(seconds=60)  # a generation cluster looks at its runner every two seconds
KEPT_S = 30.0  # what is dear to find out is not found out at every probe

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
    return Mark.objects.filter(name=HEARTBEAT, at__gt=timezone.now() - ALIVE_WITHIN).exists()


def runner() -> bool:
    seen = Runner.objects.filter(enabled=True, seen_at__gt=timezone.now() - SEEN_WITHIN)
    return seen.filter(problem="").exists()


CHECKS: dict[str, Check] = {
    check.__name__: check for check in (database, migrations, storage, disk, background, runner)
}
_DEAR = {"migrations", "storage"}
_kept: dict[str, float] = {}  # name -> until when a yes is good


def look() -> dict[str, bool]:
    return {name: _passes(name, check) for name, check in CHECKS.items()}


def _passes(name: str, check: Check) -> bool:
    if _kept.get(name, 0.0) > time.monotonic():
        return True
    try:
        passed = check()
    except Exception:  # a check that breaks has not passed, whatever broke it
        log.exception("readiness: %s", name)
        return False
    if not passed:
        log.warning("readiness: %s does not pass", name)
    elif name in _DEAR:
        _kept[name] = time.monotonic() + KEPT_S
    return passed
