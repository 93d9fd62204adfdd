"""Inventory of a runner (model files, ComfyUI nodes), and the jobs that it can execute."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q, QuerySet

from gpu_runner.protocol import Inventory, RunnerStatus
from gpu_runner.protocol.workflows import node_names
from gpu_runner.protocol.workflows.requirements import FileUse, Requirements
from jobs.models import Backend, Job, Runner
from models_registry.models import WorkflowTemplate
from models_registry.scanning.runner_files import register

REMEMBERED = 64  # inventories per process; each may have thousands of names


def keep(runner: Runner, status: RunnerStatus, ask: Callable[[], Inventory]) -> None:
    """Store the inventory of a runner. ``ask`` fetches it, and is called only if its hash has changed."""
    if not status.inventory or status.inventory == runner.inventory:
        return
    inventory = ask()
    with transaction.atomic():
        runner.own_files.set(register(inventory.models))
        Runner.objects.filter(pk=runner.pk).update(
            nodes=list(inventory.nodes),
            file_lists=[listed.model_dump(mode="json") for listed in inventory.file_lists],
            inventory=status.inventory[:64],
        )


class ServerInventory(NamedTuple):
    """Node classes of a ComfyUI server, and the model files that it offers for their inputs."""

    nodes: frozenset[str]
    files: dict[str, frozenset[str]]  # ``CLASS.INPUT`` -> files

    @classmethod
    def of(cls, runner: Runner) -> ServerInventory:
        """Parsed once per version of the inventory: the dispatcher needs it several times per second."""
        if not runner.inventory:
            return _parsed(runner)
        try:
            return _remembered(runner.inventory, runner.pk)
        except Runner.DoesNotExist:
            return _parsed(Runner.objects.only("nodes", "file_lists").get(pk=runner.pk))

    def missing_nodes(self, nodes: Iterable[str]) -> list[str]:
        return sorted(set(nodes) - self.nodes)

    def missing_files(self, needs: Requirements) -> list[FileUse]:
        """Files of a template that the server's lists do not contain. An input without a list is not checked."""
        return [
            use
            for use in needs.files
            if use.list_key in self.files and _plain(use.file) not in self.files[use.list_key]
        ]

    def can_run(self, template: WorkflowTemplate) -> bool:
        try:
            needs = template.needs
        except ValueError:
            return False
        return not self.missing_nodes(needs.nodes) and not self.missing_files(needs)


def _plain(name: str) -> str:
    return name.replace("\\", "/")


def _parsed(runner: Runner) -> ServerInventory:
    files = {
        key: frozenset(map(_plain, listed["files"]))
        for listed in runner.file_lists
        for key in listed["inputs"]
    }
    return ServerInventory(frozenset(runner.nodes), files)


@lru_cache(maxsize=REMEMBERED)
def _remembered(inventory: str, runner_id: int) -> ServerInventory:
    """``inventory`` is the hash of the content, so that a newer version is another entry.

    Raises Runner.DoesNotExist, which is not remembered, if the row has a newer one by now.
    """
    return _parsed(Runner.objects.only("nodes", "file_lists").get(pk=runner_id, inventory=inventory))


def nodes_of_modules(modules: Iterable[str]) -> frozenset[str]:
    """Node classes that compute the control maps of these preprocessors."""
    return frozenset(node_names.MODULE_NODES[name][0] for name in modules if name in node_names.MODULE_NODES)


def queued_for(runner: Runner, queued: QuerySet[Job]) -> QuerySet[Job]:
    """Filter queued jobs by the runner's backend and, for ComfyUI, by its templates and their main models."""
    queued = queued.filter(backend=runner.backend)
    if runner.backend == Backend.COMFYUI:
        on_server = Q(checkpoint=None) | Q(checkpoint__in=runner.own_files.values("pk"))
        return queued.filter(on_server, workflow__in=templates_for(runner))
    return queued


def has_main_model(runner: Runner, job: Job) -> bool:
    """Whether the runner has the checkpoint of a job, or the main model of its template."""
    return job.checkpoint_id is None or runner.own_files.filter(pk=job.checkpoint_id).exists()


def templates_for(runner: Runner) -> list[int]:
    """Templates whose nodes and files the ComfyUI server of the runner has."""
    server = ServerInventory.of(runner)
    templates = WorkflowTemplate.objects.only("name", "requirements")  # the graphs are large
    return [template.pk for template in templates if server.can_run(template)]


class RunnerCapabilities:
    """Predicate: the runner has the files and nodes of a job. ``queued_for`` checks the main model."""

    def __init__(self, runner: Runner) -> None:
        self._everything = runner.backend != Backend.COMFYUI
        if not self._everything:
            self._paths = set(runner.own_files.values_list("path", flat=True))
            self._server = ServerInventory.of(runner)

    def __call__(self, job: Job) -> bool:
        if self._everything:
            return True
        files = {kept["path"] for kept in job.files.values()}
        if not files <= self._paths or job.workflow is None:
            return False
        modules = [unit["module"] for unit in job.request["controls"]]
        return not self._server.missing_nodes(nodes_of_modules(modules)) and self._server.can_run(
            job.workflow
        )
