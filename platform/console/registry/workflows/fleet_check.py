"""Which ComfyUI servers have what a template needs, in words."""

from __future__ import annotations

from typing import NamedTuple

from django.utils.translation import gettext as _

from jobs.execution.runner_client import RunnerClient, RunnerError
from jobs.execution.runner_inventory import ServerInventory
from jobs.models import Backend, Runner
from models_registry.models import WorkflowTemplate

MAX_PROBLEMS_SHOWN = 5  # per template and runner


class Fit(NamedTuple):
    runner: str
    fits: bool | None  # None: not checked
    text: str


def comfyui_runners() -> list[Runner]:
    return list(Runner.objects.filter(enabled=True, backend=Backend.COMFYUI).order_by("name"))


def asked(template: WorkflowTemplate) -> list[Fit]:
    """Have every server check the template against its nodes."""
    return [_asked(template, runner) for runner in comfyui_runners()]


def remembered(template: WorkflowTemplate) -> list[Fit]:
    """Compare the template with the inventories as last read. Asks no server. Raises ValueError if it is invalid."""
    return [_remembered(template, runner) for runner in comfyui_runners()]


def _asked(template: WorkflowTemplate, runner: Runner) -> Fit:
    try:
        problems = RunnerClient.of(runner).workflow_problems(template.workflow()).problems
    except (RunnerError, ValueError) as error:
        return Fit(runner.name, None, _("not checked: %(reason)s") % {"reason": error})
    if not problems:
        return Fit(runner.name, True, _("compatible"))
    return Fit(runner.name, False, "; ".join(problems[:MAX_PROBLEMS_SHOWN]))


def _remembered(template: WorkflowTemplate, runner: Runner) -> Fit:
    if not runner.nodes:
        return Fit(runner.name, None, _("The inventory of %(runner)s is not known yet.") % {"runner": runner})
    inventory, needs = ServerInventory.of(runner), template.needs
    files = [use.file for use in inventory.missing_files(needs)]
    nodes = [_("the node %(node)s") % {"node": node} for node in inventory.missing_nodes(needs.nodes)]
    values = {"runner": runner, "missing": ", ".join((files + nodes)[:MAX_PROBLEMS_SHOWN])}
    if files or nodes:
        return Fit(runner.name, False, _("%(runner)s lacks %(missing)s") % values)
    return Fit(runner.name, True, _("fits on %(runner)s") % values)
