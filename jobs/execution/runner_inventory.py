"""What a runner has for itself, kept beside its row, and which jobs that is enough for."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.db.models import QuerySet

from gpu_runner.protocol import Inventory, RunnerStatus
from gpu_runner.protocol.workflows import node_names
from jobs.models import Backend, Job, Runner
from models_registry.scanning.runner_files import register


def keep(runner: Runner, status: RunnerStatus, ask: Callable[[], Inventory]) -> None:
    """Asks for the list only when it is another than the one that is known."""
    if not status.inventory or status.inventory == runner.inventory:
        return
    inventory = ask()
    with transaction.atomic():
        runner.own_files.set(register(inventory.models))
        Runner.objects.filter(pk=runner.pk).update(
            nodes=list(inventory.nodes), inventory=status.inventory[:64]
        )


def queued_for(runner: Runner, queued: QuerySet[Job]) -> QuerySet[Job]:
    """Those that this runner may draw, as far as the table can tell."""
    queued = queued.filter(backend=runner.backend)
    if runner.backend == Backend.COMFYUI:
        return queued.filter(checkpoint__runners=runner)
    return queued


class RunnerCapabilities:
    """Whether a runner has all that a job names. One whose checkpoint it lacks is not asked about."""

    def __init__(self, runner: Runner) -> None:
        self._everything = runner.backend != Backend.COMFYUI
        self._paths = set() if self._everything else set(runner.own_files.values_list("path", flat=True))
        self._nodes = set(runner.nodes)

    def __call__(self, job: Job) -> bool:
        if self._everything:
            return True
        files = {kept["path"] for kept in job.files.values()}
        if not files <= self._paths or job.workflow is None:
            return False
        modules = {unit["module"] for unit in job.request["controls"]}
        nodes = {node_names.MODULE_NODES[name][0] for name in modules & node_names.MODULE_NODES.keys()}
        return job.workflow.workflow().classes | nodes <= self._nodes
