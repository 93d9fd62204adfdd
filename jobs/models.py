"""The job and its life, its pictures, and the runners that draw them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access.encryption import EncryptedTextField
from gpu_runner.protocol import GenerationRequest

from .callbacks.models import Callback, CallbackAttempt
from .idempotency import IdempotencyKey
from .retention.models import ArchivedJob, JobInput
from .samples.models import ModelSample
from .storage_targets.models import StorageTarget

__all__ = [
    "ArchivedJob",
    "Callback",
    "CallbackAttempt",
    "IdempotencyKey",
    "JobInput",
    "ModelSample",
    "StorageTarget",
]  # Django looks for an app's models here


class State(models.TextChoices):
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    EXPIRED = "expired", _("expired")


class Signal(models.TextChoices):
    """What a client wants done to its running job; the worker that follows the job passes it on to the runner."""

    DISCARD = "discard", _("cancel")
    INTERRUPT = "interrupt", _("stop and keep what there is")
    SKIP = "skip", _("skip to the next batch")


ACTIVE = frozenset({State.QUEUED, State.RUNNING})
TERMINAL = frozenset(State) - ACTIVE
FORMER_FIELDS = frozenset({"face_restorer", "face_restorer_weight"})  # of requests; they never did anything
TRANSITIONS: dict[str, frozenset[str]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED, State.EXPIRED, State.FAILED}),
    # Back to queued when its runner died under it.
    State.RUNNING: frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.QUEUED}),
}


class Lane(models.IntegerChoices):
    """Smaller goes first."""

    INTERACTIVE = 0, _("interactive")  # someone waits on the connection
    ASYNC = 1, _("asynchronous")
    BULK = 2, _("bulk")


class Backend(models.TextChoices):
    """What draws."""

    PIPELINE = "pipeline", "pipeline"
    COMFYUI = "comfyui", "ComfyUI"


class Runner(models.Model):
    """One gpu_runner process, as its generation cluster last saw it."""

    name = models.CharField(_("name"), max_length=64, unique=True)
    url = models.URLField(_("address"), max_length=300)
    token = EncryptedTextField(_("token"), blank=True, default="", help_text=_("Empty: RUNNER_TOKEN."))
    backend = models.CharField(
        _("backend"),
        max_length=16,
        default=Backend.PIPELINE,
        choices=Backend,
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    draining = models.BooleanField(
        _("draining"), default=False, help_text=_("Finishes what it has, takes nothing new.")
    )
    slots = models.PositiveIntegerField(_("slots"), default=0, help_text=_("As the runner reported."))
    boot_id = models.CharField(max_length=64, blank=True, editable=False)
    device = models.CharField(_("device"), max_length=200, blank=True, editable=False)
    loaded = models.JSONField(_("loaded models"), default=list, editable=False)  # sha256 of each
    memory_bytes = models.BigIntegerField(_("memory"), default=0, editable=False)
    version = models.CharField(_("version"), max_length=100, blank=True, editable=False)
    figures = models.JSONField(_("figures"), default=dict, editable=False)  # counters since it was started
    inventory = models.CharField(max_length=64, blank=True, editable=False)  # of which the two below tell
    own_files = models.ManyToManyField(
        "models_registry.ModelFile", related_name="runners", editable=False, verbose_name=_("own model files")
    )
    nodes = models.JSONField(default=list, editable=False)  # classes that its workflows can use
    seen_at = models.DateTimeField(_("last seen"), null=True, blank=True, editable=False)
    problem = models.CharField(_("problem"), max_length=300, blank=True, editable=False)

    class Meta:
        verbose_name = _("runner")
        verbose_name_plural = _("runners")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Job(models.Model):
    """One admitted generation request. Rows change state only through jobs.lifecycle."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.ForeignKey(
        "access.BusinessSource",
        on_delete=models.PROTECT,
        related_name="jobs",
        verbose_name=_("business source"),
        db_index=False,  # as of runner and checkpoint: the indexes below begin with it
    )
    key = models.ForeignKey(
        "access.AccessKey",
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("access key"),
    )
    dialect = models.CharField(_("dialect"), max_length=32)
    operation = models.CharField(
        _("operation"), max_length=64, blank=True
    )  # the dialect's own name of the endpoint
    external_id = models.CharField(_("caller's id"), max_length=200, blank=True)
    id_may_repeat = models.BooleanField(default=False)  # other jobs may have the same caller's id
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

    received = models.JSONField(_("request as received"), default=dict)  # pictures replaced by their hashes
    request = models.JSONField(_("request as understood"))  # a GenerationRequest
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
        related_name="+",
        verbose_name=_("checkpoint"),
        db_index=False,
    )
    checkpoint_sha256 = models.CharField(
        max_length=64
    )  # what the file was at admission; the policy's affinity

    files = models.JSONField(
        _("other model files"), default=dict
    )  # ModelName.key -> {"path", "sha256"}, as they were at admission

    attempt = models.PositiveSmallIntegerField(_("attempt"), default=0)  # claims so far
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
    lease_expires_at = models.DateTimeField(_("lease expires"), null=True, blank=True)
    signal = models.CharField(
        _("signal"), max_length=10, choices=Signal, blank=True, default=""
    )  # for the worker
    interrupted = models.BooleanField(
        _("interrupted"), default=False
    )  # succeeded with less than was asked for
    cancel_requested_at = models.DateTimeField(_("cancel requested"), null=True, blank=True)

    step = models.PositiveIntegerField(_("step"), default=0)
    steps = models.PositiveIntegerField(_("steps"), default=0)
    images_done = models.PositiveIntegerField(default=0)
    batch = models.PositiveIntegerField(default=0)
    batch_step = models.PositiveIntegerField(default=0)

    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    error_message = models.TextField(_("error"), blank=True)

    cost_estimate = models.DecimalField(_("reserved cost"), max_digits=18, decimal_places=6, default=0)
    cost = models.DecimalField(_("cost"), max_digits=18, decimal_places=6, default=0)
    engine_seconds = models.FloatField(_("engine seconds"), default=0)
    device_seconds = models.FloatField(_("device seconds"), default=0, validators=[MinValueValidator(0)])

    created_at = models.DateTimeField(_("created"), default=timezone.now)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)  # of the last attempt
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)  # while still queued

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
        # Led by the state, not partial: SQLite does not see that a bound parameter implies an index's condition.
        indexes = [
            models.Index(fields=["state", "source", "lane", "created_at"], name="job_queue"),
            models.Index(fields=["state", "expires_at"], name="job_expiry"),
            models.Index(fields=["state", "lease_expires_at"], name="job_leases"),
            models.Index(fields=["runner", "state"], name="job_slots"),
            models.Index(fields=["source", "external_id"], name="job_by_callers_id"),
            models.Index(fields=["source", "-created_at"], name="job_by_source"),
            models.Index(fields=["-created_at"], name="job_newest"),
            # For the console's list, whose pages begin anywhere: what it filters by, then the time.
            models.Index(fields=["state", "-created_at"], name="job_by_state"),
            models.Index(fields=["source", "state", "-created_at"], name="job_by_source_and_state"),
            models.Index(fields=["dialect", "-created_at"], name="job_by_dialect"),
            models.Index(fields=["lane", "-created_at"], name="job_by_lane"),
            models.Index(fields=["checkpoint", "-created_at"], name="job_by_checkpoint"),
            models.Index(fields=["runner", "-created_at"], name="job_by_runner"),
            # Few jobs have these; jobs.searching says their conditions in SQLite's hearing.
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
                fields=["repeats"], condition=models.Q(repeats__isnull=False), name="job_repetitions"
            ),
            # Partial: a queued job is not in it. SQLite does see that a comparison implies "is not null".
            models.Index(
                fields=["finished_at"], name="job_ends", condition=models.Q(finished_at__isnull=False)
            ),
        ]

    known_outputs: list[Output] | None = None  # where they were read with it, after its end

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL

    @property
    def generation_request(self) -> GenerationRequest:
        asked = {name: value for name, value in self.request.items() if name not in FORMER_FIELDS}
        return GenerationRequest.model_validate(asked)

    @property
    def pictures(self) -> models.QuerySet[Output]:
        return self.outputs.filter(kind=OutputKind.PICTURE)

    @property
    def control_maps(self) -> models.QuerySet[Output]:
        return self.outputs.filter(kind=OutputKind.CONTROL_MAP)


class Transition(models.Model):
    """One line of a job's timeline."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="transitions", verbose_name=_("job"))
    from_state = models.CharField(_("from"), max_length=10, blank=True)
    to_state = models.CharField(_("to"), max_length=10, choices=State)
    note = models.CharField(_("note"), max_length=300, blank=True)
    at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("transition")
        verbose_name_plural = _("transitions")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.from_state or '∅'} → {self.to_state}"


class InputPicture(models.Model):
    """A picture that came with a request, stored once by its content."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    file = models.FileField(_("file"), max_length=300)
    size_bytes = models.PositiveIntegerField(_("size in bytes"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    used_at = models.DateTimeField(_("last used"), default=timezone.now, db_index=True)  # or sent

    class Meta:
        verbose_name = _("input picture")
        verbose_name_plural = _("input pictures")

    def __str__(self) -> str:
        return self.sha256[:12]


class Preview(models.Model):
    """The newest preview of a running job; gone when the job ends."""

    job = models.OneToOneField(Job, on_delete=models.CASCADE, primary_key=True, related_name="preview")
    jpeg = models.BinaryField()
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"preview of {self.job_id}"


class OutputKind(models.TextChoices):
    PICTURE = "picture", _("picture")
    CONTROL_MAP = "control_map", _("control map")
    MARKED = "marked", _("copy with a label")  # made after the job, for who asked for the label then


class Output(models.Model):
    """One stored picture of a job: what it drew, or what it shows of its work. Each kind counts from 0."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="outputs", verbose_name=_("job"))
    kind = models.CharField(_("kind"), max_length=16, choices=OutputKind, default=OutputKind.PICTURE)
    index = models.PositiveIntegerField(_("index"))
    file = models.FileField(_("file"), max_length=300)
    target_name = models.CharField(max_length=500, blank=True, default="")  # of its copy at the job's target
    sha256 = models.CharField(_("SHA-256"), max_length=64)
    size_bytes = models.PositiveIntegerField(_("size in bytes"))
    width = models.PositiveIntegerField(_("width"))
    height = models.PositiveIntegerField(_("height"))
    seed = models.BigIntegerField(_("seed"))
    content_type = models.CharField(_("type"), max_length=32, default="image/png")
    infotext = models.TextField(_("infotext"), blank=True)
    nsfw = models.BooleanField(_("NSFW"), null=True, default=None)  # null: it was not checked
    nsfw_score = models.FloatField(_("NSFW score"), null=True, default=None)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("picture")
        verbose_name_plural = _("pictures")
        ordering = ["job", "index"]
        constraints = [
            models.UniqueConstraint(fields=["job", "kind", "index"], name="one_output_per_kind_and_index")
        ]

    def __str__(self) -> str:
        return f"{self.job_id} #{self.index}"


class Usage(models.Model):
    """Device-seconds that each source got lately, decayed: what the policy calls 'least served'."""

    HALF_LIFE_S = 600.0

    source = models.OneToOneField(
        "access.BusinessSource", on_delete=models.CASCADE, primary_key=True, related_name="usage"
    )
    served = models.FloatField(default=0)  # device-seconds, worth what they were worth at `as_of`
    work = models.FloatField(
        default=0
    )  # the cost that those seconds paid for, decayed alike: gives seconds per cost
    as_of = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.source_id}: {self.served:.1f} s"

    def decay(self, now: datetime) -> float:
        """What a second of `as_of` is worth at ``now``."""
        return 0.5 ** (max(0.0, (now - self.as_of).total_seconds()) / self.HALF_LIFE_S)

    def add(self, device_seconds: float, work: float, now: datetime) -> None:
        decay = self.decay(now)
        self.served = self.served * decay + device_seconds
        self.work = self.work * decay + work
        self.as_of = max(now, self.as_of)


def request_as_json(request: GenerationRequest) -> dict[str, Any]:
    return request.model_dump(mode="json")
