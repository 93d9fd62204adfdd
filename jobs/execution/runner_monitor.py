"""Monitor of a runner: updates its row, and requeues the jobs of a runner that died."""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import close_old_connections, connection
from django.utils import timezone

from gpu_runner.protocol import RunnerStatus
from jobs.models import Backend, Job, Runner

from . import notifications, runner_inventory
from .runner_client import RunnerClient, RunnerError
from .sweep import died_with, sweep

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
MAX_LOAD_TIMES = 500
FIGURES = ("slots_busy", "steps_total", "calls_total", "rows_total", "loads_total", "uptime_s")


class RunnerWatch:
    """Polls one runner every ``LOOK_EVERY_S`` seconds in a daemon thread. ``look`` is one poll."""

    def __init__(self, name: str) -> None:
        self.name = name

    def start(self) -> None:
        threading.Thread(target=self._run, name="runner-watch", daemon=True).start()

    def look(self) -> None:
        runner = Runner.objects.filter(name=self.name).first()
        if runner is not None:
            look_at(runner)
        sweep()

    def _run(self) -> None:
        while True:
            try:
                close_old_connections()
                self.look()
            except Exception:
                log.exception("looking at runner %s failed", self.name)
                connection.close()
            time.sleep(LOOK_EVERY_S)


def look_at(runner: Runner) -> None:
    """Ask the runner for its status, and store it in its row."""
    try:
        client = RunnerClient.of(runner)
        status = client.status()
        _seen(runner, status)
        if status.backend == Backend.COMFYUI:
            _send_credentials(runner, status, client)
        runner_inventory.keep(runner, status, client.inventory)
    except RunnerError as error:
        _not_seen(runner, str(error))


def _seen(runner: Runner, status: RunnerStatus) -> None:
    now = timezone.now()
    if runner.boot_id != status.boot_id:
        booted_at = now - timedelta(seconds=status.uptime_s)
        died_with(runner, booted_at, new_boot_id=status.boot_id, held=status.jobs)
    Runner.objects.filter(pk=runner.pk).update(
        boot_id=status.boot_id,
        backend=status.backend,
        device=status.device[:200],
        slots=status.slots,
        loaded=[model.sha256 for model in status.loaded],
        load_seconds=_load_seconds(runner, status),
        memory_bytes=status.memory_bytes,
        version=status.version[:100],
        figures=_figures(status),
        seen_at=now,
        problem=status.problem[:300],
    )
    _forgive_lost_hand_over(runner)
    if runner.problem or not runner.slots:
        notifications.notify({notifications.WORK: ""})


def _figures(status: RunnerStatus) -> dict[str, Any]:
    figures = {name: getattr(status, name) for name in FIGURES}
    return figures | {"server": status.server.model_dump()} if status.server else figures


def _send_credentials(runner: Runner, status: RunnerStatus, client: RunnerClient) -> None:
    """Send the credentials of the ComfyUI server, which the adapter keeps in memory only."""
    try:
        credentials = runner.server_credentials
    except ValueError:
        log.warning("the ComfyUI credentials of runner %s are not valid", runner.name)
        return
    if client.credentials_digest(credentials) != status.credentials:
        client.send_credentials(credentials)


def _load_seconds(runner: Runner, status: RunnerStatus) -> dict[str, float]:
    """The last load time of each model, also of models that have been evicted since; the newest ones only."""
    newest = {m.sha256: m.load_seconds for m in status.loaded if m.load_seconds is not None and m.sha256}
    older = {sha256: seconds for sha256, seconds in runner.load_seconds.items() if sha256 not in newest}
    return dict(list((older | newest).items())[-MAX_LOAD_TIMES:])


def _forgive_lost_hand_over(runner: Runner) -> None:
    """Clear the sign that no worker begins jobs as soon as one was begun again."""
    lost_at = runner.hand_over_lost_at
    if lost_at is not None and Job.objects.filter(runner=runner, begun_at__gt=lost_at).exists():
        Runner.objects.filter(pk=runner.pk, hand_over_lost_at=lost_at).update(hand_over_lost_at=None)


def _not_seen(runner: Runner, problem: str) -> None:
    """Record the problem. Requeue the runner's jobs if it was unreachable for longer than a lease."""
    Runner.objects.filter(pk=runner.pk).update(problem=problem[:300])
    silent_since = timezone.now() - timedelta(seconds=settings.JOB_LEASE_S)
    if runner.seen_at is not None and runner.seen_at < silent_since:
        died_with(runner, silent_since)
