"""The Job model and its state machine."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from gpu_runner.protocol import GenerationRequest, ImageFindings

from .images import Output, OutputKind
from .runner import Backend, Runner
from .storage_target import StorageTarget


class State(models.TextChoices):
    """State of a job. TRANSITIONS lists the allowed changes."""

    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    EXPIRED = "expired", _("expired")


class Signal(models.TextChoices):
    """Request of a client to a running job. The worker that executes the job forwards it to the runner."""

    DISCARD = "discard", _("cancel")
    INTERRUPT = "interrupt", _("stop and keep the finished images")
    SKIP = "skip", _("skip to the next batch")


ACTIVE = frozenset({State.QUEUED, State.RUNNING})
TERMINAL = frozenset(State) - ACTIVE
# Removed fields that stored requests may still contain; they never had an effect.
FORMER_FIELDS = frozenset({"face_restorer", "face_restorer_weight"})
TRANSITIONS: dict[str, frozenset[str]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED, State.EXPIRED, State.FAILED}),
    # Back to QUEUED if the attempt is retried, for example because the runner died.
    State.RUNNING: frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.QUEUED}),
}


class Lane(models.IntegerChoices):
    """Priority class of a job; smaller values go first."""

    INTERACTIVE = 0, _("interactive")  # the client waits for the response
    ASYNC = 1, _("asynchronous")
    BULK = 2, _("bulk")


class Job(models.Model):
    """One admitted generation request. Rows change state only through jobs.execution.lifecycle."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(
        "access.BusinessSource",
        on_delete=models.PROTECT,
        related_name="jobs",
        verbose_name=_("business source"),
        db_index=False,  # composite indexes below begin with it; likewise for runner and checkpoint
    )
    key = models.ForeignKey(
        "access.AccessKey",
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("access key"),
        db_index=False,
    )
    dialect = models.CharField(_("dialect"), max_length=32)
    # Name of the endpoint in the dialect.
    operation = models.CharField(_("operation"), max_length=64, blank=True)
    external_id = models.CharField(_("external id"), max_length=200, blank=True)
    id_may_repeat = models.BooleanField(default=False)  # other jobs may have the same external_id
    # The client's id of the person on whose behalf the request was sent.
    end_user = models.CharField(_("end user"), max_length=200, blank=True, default="", db_default="")
    repeats = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="repetitions",
        verbose_name=_("repeats"),
        db_index=False,
    )
    has_callback = models.BooleanField(_("callback"), default=False)
    backend = models.CharField(_("backend"), max_length=16, choices=Backend, default=Backend.PIPELINE)
    storage_target = models.ForeignKey(
        StorageTarget,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("storage target"),
    )
    lane = models.PositiveSmallIntegerField(_("lane"), choices=Lane, default=Lane.ASYNC)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.QUEUED)

    received = models.JSONField(_("request as received"), default=dict)  # with hashes in place of images
    request = models.JSONField(_("parsed request"))  # a GenerationRequest
    # What the text model did with the prompts: "mode"; "written": the texts of the client that it changed, by field;
    # "problem": why it did not change them. Empty: nothing to change.
    rewriting = models.JSONField(
        _("prompts as written"), default=dict, db_default=models.Value({}, models.JSONField()), editable=False
    )
    workflow = models.ForeignKey(
        "models_registry.WorkflowTemplate",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("workflow template"),
    )
    checkpoint = models.ForeignKey(
        "models_registry.ModelFile",
        on_delete=models.PROTECT,
        null=True,  # a ComfyUI template that names no file which the registry knows
        blank=True,
        related_name="+",
        verbose_name=_("checkpoint"),
        db_index=False,
    )
    # At admission. The policy prefers jobs whose checkpoint is loaded.
    checkpoint_sha256 = models.CharField(max_length=64, blank=True)

    # ModelName.key -> {"path", "sha256", ...}, as of admission.
    files = models.JSONField(_("other model files"), default=dict)

    attempt = models.PositiveSmallIntegerField(_("attempt"), default=0)  # number of claims so far
    runner_deaths = models.PositiveSmallIntegerField(_("runner deaths"), default=0)
    runner = models.ForeignKey(
        Runner,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="jobs",
        verbose_name=_("runner"),
        db_index=False,
    )
    runner_boot_id = models.CharField(max_length=64, blank=True)
    # Versions and device that its runner told for the successful attempt: an Environment, or empty.
    environment = models.JSONField(
        _("environment"), default=dict, db_default=models.Value({}, models.JSONField()), editable=False
    )
    lease_expires_at = models.DateTimeField(_("lease expires"), null=True, blank=True)
    # Read by the worker that executes the job.
    signal = models.CharField(_("signal"), max_length=10, choices=Signal, blank=True, default="")
    # Stopped early: succeeded with fewer steps or images than requested.
    interrupted = models.BooleanField(_("interrupted"), default=False)
    cancel_requested_at = models.DateTimeField(_("cancel requested"), null=True, blank=True)
    cancel_note = models.CharField(max_length=300, blank=True, default="", db_default="")  # cancelled by

    step = models.PositiveIntegerField(_("step"), default=0)
    steps = models.PositiveIntegerField(_("steps"), default=0)
    images_done = models.PositiveIntegerField(default=0)
    batch = models.PositiveIntegerField(default=0)
    batch_step = models.PositiveIntegerField(default=0)

    # Of the task analyze: a list of ImageFindings in the order of the images.
    findings = models.JSONField(_("findings"), null=True, blank=True, editable=False)

    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    error_message = models.TextField(_("error"), blank=True)

    cost_estimate = models.DecimalField(_("reserved cost"), max_digits=18, decimal_places=6, default=0)
    cost = models.DecimalField(_("cost"), max_digits=18, decimal_places=6, default=0)
    engine_seconds = models.FloatField(_("engine seconds"), default=0)
    device_seconds = models.FloatField(_("device seconds"), default=0, validators=[MinValueValidator(0)])

    created_at = models.DateTimeField(_("created"), default=timezone.now)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)  # start of the last attempt
    # When a worker took up the last attempt, shortly after it was claimed. Null: claimed, but not yet begun.
    begun_at = models.DateTimeField(null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)  # expires if still queued then

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "dialect", "external_id"],
                condition=~models.Q(external_id="") & models.Q(id_may_repeat=False),
                name="one_job_per_callers_id",
            ),
        ]
        # The first column is the state instead of a partial index: SQLite cannot prove that a bound parameter
        # satisfies the condition of a partial index.
        indexes = [
            models.Index(fields=["state", "source", "lane", "created_at"], name="job_queue"),
            models.Index(fields=["state", "expires_at"], name="job_expiry"),
            models.Index(fields=["state", "lease_expires_at"], name="job_leases"),
            models.Index(fields=["runner", "state"], name="job_slots"),
            models.Index(fields=["source", "external_id"], name="job_by_callers_id"),
            models.Index(fields=["source", "-created_at"], name="job_by_source"),
            models.Index(fields=["-created_at", "-id"], name="job_newest_first"),
            # For the console's job list: filter column, then creation time.
            models.Index(fields=["state", "-created_at"], name="job_by_state"),
            models.Index(fields=["source", "state", "-created_at"], name="job_by_source_and_state"),
            models.Index(fields=["dialect", "-created_at"], name="job_by_dialect"),
            models.Index(fields=["key", "-created_at"], name="job_by_key"),
            models.Index(fields=["lane", "-created_at"], name="job_by_lane"),
            models.Index(fields=["checkpoint", "-created_at"], name="job_by_checkpoint"),
            models.Index(fields=["runner", "-created_at"], name="job_by_runner"),
            # Partial: few jobs have these. jobs.selectors repeats the conditions, as SQLite requires.
            models.Index(
                fields=["error_code", "-created_at"], condition=~models.Q(error_code=""), name="job_by_error"
            ),
            models.Index(
                fields=["external_id"],
                condition=~models.Q(external_id=""),
                opclasses=["varchar_pattern_ops"],
                name="job_by_beginning_of_id",
            ),
            models.Index(
                fields=["end_user", "-created_at"], condition=~models.Q(end_user=""), name="job_by_end_user"
            ),
            models.Index(
                fields=["repeats"], condition=models.Q(repeats__isnull=False), name="job_repetitions"
            ),
            # Partial: excludes unfinished jobs. SQLite does infer "is not null" from a comparison.
            models.Index(
                fields=["finished_at"], name="job_ends", condition=models.Q(finished_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL

    @cached_property
    def generation_request(self) -> GenerationRequest:
        """``request`` as a validated GenerationRequest. Cached: the request of a job never changes."""
        fields = {name: value for name, value in self.request.items() if name not in FORMER_FIELDS}
        return GenerationRequest.model_validate(fields)

    @cached_property
    def image_findings(self) -> list[ImageFindings]:
        """What was found in the input images of an analysis."""
        return [ImageFindings.model_validate(finding) for finding in self.findings or ()]

    @property
    def image_outputs(self) -> models.QuerySet[Output]:
        return self.outputs.filter(kind=OutputKind.IMAGE)

    @property
    def control_maps(self) -> models.QuerySet[Output]:
        return self.outputs.filter(kind=OutputKind.CONTROL_MAP)

    @property
    def extra_outputs(self) -> models.QuerySet[Output]:
        return self.outputs.filter(kind=OutputKind.EXTRA)


class Transition(models.Model):
    """A state change of a job, with time and note."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="transitions", verbose_name=_("job"))
    from_state = models.CharField(_("from"), max_length=10, blank=True)
    to_state = models.CharField(_("to"), max_length=10, choices=State)
    note = models.CharField(_("note"), max_length=300, blank=True)
    # Fields of the request that the workflow template has ignored. Null: none.
    ignored_fields = models.JSONField(null=True, editable=False)
    at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("transition")
        verbose_name_plural = _("transitions")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.from_state or '∅'} → {self.to_state}"


def findings_as_json(findings: Iterable[ImageFindings]) -> list[dict[str, Any]]:
    return [found.model_dump(mode="json") for found in sorted(findings, key=lambda found: found.index)]


def request_as_json(request: GenerationRequest) -> dict[str, Any]:
    return request.model_dump(mode="json")
