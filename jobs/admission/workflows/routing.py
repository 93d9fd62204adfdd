"""Selects the backend of a job, and its workflow template, which only the comfyui backend uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol.workflows.capabilities import unsupported_fields, without_ignorable
from gpu_runner.protocol.workflows.default_purpose import purpose_of, purposes_of
from gpu_runner.protocol.workflows.request_images.references import with_references
from jobs.admission.model_choice import references
from jobs.admission.submission import Submission
from jobs.errors import Refused, Unsupported
from jobs.execution import back_off, runner_inventory
from jobs.execution.runner_inventory import ServerInventory
from jobs.images.video import labels
from jobs.models import Backend, Lane, Runner
from models_registry.models import WorkflowRule, WorkflowTemplate
from models_registry.models.workflow_templates import OutputType, WithoutSlot

from .reasons import why


def routed(submission: Submission) -> Submission:
    """Return the submission with its backend and, for ComfyUI, its workflow template. Raises Refused."""
    if submission.request.training is not None:
        return replace(submission, backend=Backend.TRAINING, lane=Lane.BULK)
    if submission.workflow is not None or submission.files is not None:
        return submission
    rule = _matching_rule(submission)
    template = rule.template if rule else None
    if template is None and (submission.backend == Backend.COMFYUI or submission.request.video):
        template = _default(submission)
    if template is None:
        return references.with_references(submission)
    submission = replace(submission, backend=Backend.COMFYUI, workflow=template)
    if rule and rule.model and "checkpoint" not in template.slots:  # the name has chosen the template
        unnamed = submission.request.model_copy(update={"checkpoint": ""})
        submission = replace(submission, request=unnamed)
    return _without_ignored(_with_references(submission, template), template)


def _with_references(submission: Submission, template: WorkflowTemplate) -> Submission:
    try:
        workflow = template.workflow()
    except ValueError:  # an invalid template, which is refused later
        return submission
    several = submission.init_images_belong_together
    request = with_references(submission.request, workflow, several_inputs=several)
    return replace(submission, request=request)


def _without_ignored(submission: Submission, template: WorkflowTemplate) -> Submission:
    """Drop the fields that the template ignores, so that admission, quote and runner see the same request."""
    if template.without_slot == WithoutSlot.REFUSE:
        return submission
    try:
        request, ignored = without_ignorable(submission.request, template.workflow())
    except ValueError:  # an invalid template, which is refused later
        return submission
    is_noted = template.without_slot == WithoutSlot.NOTE
    names = tuple(dict.fromkeys(one.field for one in ignored)) if is_noted else ()
    return replace(submission, request=request, ignored_fields=names)


def check(submission: Submission) -> None:
    """Raise the first reason to refuse the workflow template, if there is one. Raises Refused."""
    for refused in every(submission):
        raise refused


def every(submission: Submission) -> Iterator[Refused]:
    """Yield all reasons why the request cannot be executed with its template."""
    template = submission.workflow
    if template is None:
        return
    workflow = template.workflow()
    if template.output == OutputType.VIDEO and submission.request.video is None:
        message = _("The workflow %(template)s makes videos, and this request is for an image.")
        yield Unsupported(message % {"template": template.name}, field="task")
        return
    yield from labels.refusals(submission.source, submission.request, workflow)
    for found in unsupported_fields(submission.request, workflow):
        message = _("%(field)s cannot be drawn by ComfyUI here: %(why)s.")
        yield Unsupported(message, field=found.field, words={"why": why(found)})
    yield from _nowhere(submission, template)


def template_by_rule(
    dialect: str, operation: str, styles: Iterable[str], source: BusinessSource
) -> WorkflowTemplate | None:
    """Template that a rule names for requests of this dialect and operation, before they are read in full."""
    rules = _rules(source, dialect, operation, styles).filter(purpose="", model="")
    rule = _most_specific(rules)
    return rule.template if rule else None


def makes_videos(
    dialect: str, operation: str, purpose: str, source: BusinessSource, *, any_style: bool = False
) -> bool:
    """Whether some requests for videos can be served: by a rule, or by the default template of the purpose.

    ``purpose``: "txt2video" or "img2video". Where none can, a dialect refuses them before it reads them.
    """
    styles = WorkflowRule.objects.values_list("style", flat=True).distinct() if any_style else ()
    rules = _rules(source, dialect, operation, styles).filter(
        purpose__in=["", "video", purpose], template__output=OutputType.VIDEO
    )
    return rules.exists() or WorkflowTemplate.objects.filter(enabled=True, purpose=purpose).exists()


def _matching_rule(submission: Submission) -> WorkflowRule | None:
    rules = _rules(submission.source, submission.dialect, submission.operation, submission.styles)
    request = submission.request
    purposes = purposes_of(request) | ({"edit"} if submission.edits else set())
    rules = rules.filter(
        purpose__in=["", *purposes], model__in={"", *map(_storable, (request.checkpoint, submission.model))}
    )
    if request.video:
        rules = rules.filter(template__output=OutputType.VIDEO)
    return _most_specific(rules)


def _rules(
    source: BusinessSource, dialect: str, operation: str, styles: Iterable[str]
) -> QuerySet[WorkflowRule]:
    return WorkflowRule.objects.filter(
        Q(source=None) | Q(source=source),
        dialect__in=["", dialect],
        operation__in=["", operation],
        style__in=["", *(style for style in styles if _storable(style))],
        template__enabled=True,
    )


def _storable(text: str) -> str:
    return "" if "\0" in text else text


def _most_specific(rules: QuerySet[WorkflowRule]) -> WorkflowRule | None:
    """What a request asks for outranks how it came: style, model, purpose, operation, source, dialect."""
    # The templates are loaded for one rule only: their graphs are large, and few requests match a rule.
    parts = ("style", "model", "purpose", "operation", "source_id", "dialect")
    ranked = sorted(
        rules.order_by("pk").values_list(*parts, "pk"), key=lambda rule: [bool(part) for part in rule[:-1]]
    )
    return WorkflowRule.objects.select_related("template").get(pk=ranked[-1][-1]) if ranked else None


def _default(submission: Submission) -> WorkflowTemplate:
    purpose = purpose_of(submission.request)
    purposes = ["edit", purpose] if submission.edits else [purpose]
    defaults = WorkflowTemplate.objects.filter(enabled=True, purpose__in=purposes)
    template = min(defaults, key=lambda one: purposes.index(one.purpose), default=None)
    if template is None and submission.request.video:
        message = _(
            "No videos are made here: an operator can add a workflow template whose output is a video, and a rule for it."
        )
        raise Unsupported(message, field="video")
    if template is None:
        message = _("No workflow template for ComfyUI is there for this: %(purpose)s.")
        raise Unsupported(message % {"purpose": purpose}, field="task")
    return template


def _nowhere(submission: Submission, template: WorkflowTemplate) -> Iterator[Refused]:
    """Yield a refusal if no enabled runner has the required nodes. Busy or unreachable runners count."""
    runners = list(
        Runner.objects.filter(enabled=True, backend=Backend.COMFYUI).defer(
            "token", "server_secret", "figures"
        )
    )
    if not runners:
        yield Unsupported(_("No ComfyUI runner is registered."), field=None)
        return
    needs = template.needs
    modules = [unit.module for unit in submission.request.controls]
    nodes = needs.nodes | runner_inventory.nodes_of_modules(modules)
    known = [ServerInventory.of(runner) for runner in runners if runner.nodes]
    lacking = [server.missing_nodes(nodes) for server in known]
    if lacking and all(lacking):
        message = _("No ComfyUI runner has the node %(node)s, which this needs.")
        yield Unsupported(message % {"node": min(lacking[0])}, field=None)
        return
    missing = [server.missing_files(needs) for server in known]
    if missing and all(missing):
        words = {"file": missing[0][0].file, "template": template.name}
        message = _("No ComfyUI runner has the file %(file)s, which the workflow %(template)s needs.")
        yield Unsupported(message % words, field=None)
        return
    refusals = [refusal for runner in runners if (refusal := _refusal(runner, template))]
    if refusals and len(refusals) == len(runners):
        message = _("No ComfyUI runner can run the workflow %(template)s: %(reason)s")
        yield Unsupported(message % {"template": template.name, "reason": refusals[0]}, field=None)


def _refusal(runner: Runner, template: WorkflowTemplate) -> str:
    """Why the server refused the template with its present inventory; empty if it did not."""
    refused = back_off.active(runner).filter(template=template, inventory=runner.inventory)
    row = refused.exclude(inventory="").first()
    return row.reason if row else ""
