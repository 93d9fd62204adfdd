"""Back-off of ComfyUI runners per workflow template: a server that fails fast must not empty the queue.

A server that lacks a file or node of a template is not asked again until its inventory has changed. After other fast
failures it takes the next job of the template later each time. The first success ends the back-off.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from gpu_runner.protocol import Failed
from jobs.models import Backend, Job, Runner, TemplateBackOff

from .runner_inventory import RunnerCapabilities, has_main_model

FAST_S = 30.0  # a failure that took longer does not empty a queue
FIRST_S, LONGEST_S = 5.0, 300.0
MAX_TRIES = 3  # claims of a job before a failure of the server becomes its failure
OF_SERVER = frozenset({"model_unavailable", "internal", "out_of_memory"})


def delay_s(failures: int) -> float:
    """Seconds until the next try after so many failures in succession."""
    return float(min(LONGEST_S, FIRST_S * 2 ** min(failures - 1, 20)))


def active(runner: Runner) -> QuerySet[TemplateBackOff]:
    """Back-offs of a runner that are in force."""
    in_force = Q(until__gt=timezone.now())
    if runner.inventory:
        in_force |= Q(inventory=runner.inventory)
    return TemplateBackOff.objects.filter(in_force, runner=runner)


def record(job: Job, failed: Failed) -> None:
    """Have the runner back off from the template of a job that failed on it."""
    if job.workflow_id is None or job.runner_id is None or failed.code not in OF_SERVER:
        return
    misfit = failed.code == "model_unavailable" and failed.of_workflow
    if failed.code == "model_unavailable" and not misfit:  # a file of this request
        return
    if not misfit and failed.work is not None and failed.work.engine_seconds > FAST_S:
        return
    with transaction.atomic():
        rows = TemplateBackOff.objects.select_for_update()
        row, _created = rows.get_or_create(runner_id=job.runner_id, template_id=job.workflow_id)
        row.failures = min(row.failures + 1, 1000)
        row.until = timezone.now() + timedelta(seconds=delay_s(row.failures))
        row.inventory = Runner.objects.only("inventory").get(pk=job.runner_id).inventory if misfit else ""
        row.reason = failed.message[:300]
        row.save()


def end(job: Job) -> None:
    """End the back-off of the runner, because a job of the template succeeded on it."""
    if job.workflow_id is not None:
        TemplateBackOff.objects.filter(runner=job.runner_id, template=job.workflow_id).delete()


def may_go_elsewhere(job: Job, failed: Failed) -> bool:
    """Whether another runner should try the job, whose failure may be that of its server."""
    if job.workflow_id is None or job.runner is None:
        return False
    if failed.code not in OF_SERVER or job.attempt >= MAX_TRIES:
        return False
    others = Runner.objects.filter(enabled=True, draining=False, problem="", backend=Backend.COMFYUI)
    others = others.exclude(pk=job.runner.pk).exclude(
        Q(back_offs__template=job.workflow_id)
        & (Q(back_offs__until__gt=timezone.now()) | Q(back_offs__inventory=F("inventory"), inventory__gt=""))
    )
    return any(
        has_main_model(other, job) and RunnerCapabilities(other)(job)
        for other in others.defer("token", "server_secret", "nodes", "file_lists")
    )
