"""Response schemas, and their construction from database rows. The OpenAPI document is generated from them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from django.urls import reverse
from pydantic import BaseModel, ConfigDict, Field

from access.models import AccessKey
from dialects.native.request.submission import LANES, LaneName, PromptModeName
from gpu_runner.protocol import Finding, GenerationRequest
from jobs.admission.prompts.language import prompt_warnings
from jobs.admission.quote import Quote
from jobs.billing.quotas import Allowance
from jobs.errors import Refused
from jobs.models import Job, Lane, Output, OutputKind, Transition
from jobs.scheduling.eta import JobEta, outlook, progress_of
from jobs.scheduling.policy import Reason

StateName = Literal["queued", "running", "succeeded", "failed", "cancelled", "expired"]
LANE_NAMES: dict[int, LaneName] = {lane: name for name, lane in LANES.items()}
NEXT = "Cursor of the next page; null on the last."


class JobError(BaseModel):
    """Error of a failed job."""

    code: str
    message: str


class JobSummary(BaseModel):
    """A job in a list."""

    id: str
    url: str
    state: StateName
    progress: float = Field(ge=0, le=1)
    dialect: str = Field(description="API of the platform through which it was submitted.")
    operation: str
    external_id: str
    lane: LaneName
    images: int = Field(description="Number of requested images.")
    images_done: int
    interrupted: bool = Field(description="Succeeded with fewer images or steps than requested.")
    stopping: bool = Field(
        description="A request to stop it was sent to its runner, which has not confirmed it yet."
    )
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cost: float = Field(description="Final cost; until the job has ended, the reserved amount.")
    error: JobError | None


class JobPage(BaseModel):
    """A page of jobs."""

    items: list[JobSummary]
    next: str | None = Field(description=NEXT)


class OutputView(BaseModel):
    """An output image, or a video."""

    index: int
    url: str
    content_type: str
    width: int
    height: int
    size_bytes: int
    sha256: str
    seed: int
    infotext: str
    nsfw: bool | None = Field(description="Result of the NSFW check; null: not checked.")
    nsfw_score: float | None
    frames: int | None = Field(description="Of a video; null: an image.")
    duration_s: float | None = Field(description="Of a video.")
    frame_rate: float | None = Field(description="Frames per second of a video, on average.")


class FindingsView(BaseModel):
    """What was found in an input image of the task analyze; with control_map, the poses that the map is drawn from."""

    index: int = Field(description="Position of the image in init_images.")
    data: Finding


class StateChange(BaseModel):
    """A state change of a job."""

    at: datetime
    from_state: StateName | None
    to_state: StateName


class QueuePosition(BaseModel):
    """Position of a job in the queue, and why it does not run yet. Seconds are estimates."""

    reason: Reason
    ahead: int = Field(description="Number of jobs that start before it.")
    starts_in_s: float | None


class Rewriting(BaseModel):
    """What the platform's text model did with the prompts of a job."""

    mode: PromptModeName
    written: dict[str, str] = Field(
        default={},
        description="Prompts as they were sent, of those that were changed, by field of the request.",
    )


class JobDetail(JobSummary):
    """A job with its request, outputs and state changes."""

    queue: QueuePosition | None = Field(
        description="Position in the queue while it waits; null in the response to its submission."
    )
    ends_in_s: float | None = Field(description="Estimated seconds until it ends; null if unknown.")
    device_seconds: float
    warnings: list[str] = Field(
        description="Parts of the request that have another effect than they seem to."
    )
    request: GenerationRequest
    rewriting: Rewriting | None = Field(
        description="How the prompts in request differ from those that were sent; null: not at all."
    )
    outputs: list[OutputView]
    extras: list[OutputView] = Field(
        description="Images of further nodes of a ComfyUI template, which are stored beside the outputs."
    )
    findings: list[FindingsView] = Field(
        description="Results of the task analyze, which has no outputs, and poses of the task control_map."
    )
    timeline: list[StateChange]


class UploadedImageView(BaseModel):
    """An uploaded image."""

    sha256: str


class ModelView(BaseModel):
    """A model file."""

    kind: str
    name: str
    family: str
    sha256: str
    size_bytes: int
    is_default: bool
    description: str
    author: str
    base: str = Field(description="The model that this one was trained from.")
    tags: list[str]
    licence: str
    commercial_use: Literal["yes", "no", "unknown"]
    version_of: str = Field(description="The same for all versions of one model.")
    trigger_words: list[str]
    cost_multiplier: float
    defaults: dict[str, Any] = Field(
        description="Of a checkpoint: values of the fields of a job request that does not send them."
    )
    prompt_prefix: str = Field(description="Text that is put before prompts that do not begin with it.")
    metadata: dict[str, str]


class ModelList(BaseModel):
    items: list[ModelView]


class SamplerView(BaseModel):
    name: str
    automatic_scheduler: str = Field(description="Scheduler that Automatic selects.")
    second_order: bool = Field(description="Evaluates the model twice per step.")
    default_eta: float | None = Field(description="Null: eta has no effect.")


class SamplerList(BaseModel):
    items: list[SamplerView]


class SchedulerView(BaseModel):
    name: str


class SchedulerList(BaseModel):
    items: list[SchedulerView]


class UsageDay(BaseModel):
    """Usage of the jobs that ended on a day (UTC)."""

    day: date
    jobs: int
    succeeded: int
    failed: int
    cancelled: int
    expired: int
    pictures: int
    cost: float
    device_seconds: float


class UsagePage(BaseModel):
    items: list[UsageDay]
    next: str | None = Field(description=NEXT)


class RefusalView(BaseModel):
    """A reason why a job would be refused."""

    model_config = ConfigDict(frozen=True)

    code: str
    detail: str
    field: str | None
    retry_after: int | None


class AllowanceView(BaseModel):
    """State of a quota before the job. Queued and running jobs count as used."""

    of: Literal["source", "key"]
    limit: str = Field(examples=["images_per_day"])
    most: float
    used: float
    left: float
    renews_at: datetime | None = Field(description="Null: it is not renewed.")


class QuoteView(BaseModel):
    """Price and estimated time of a job, and every reason why it would be refused."""

    accepted: bool
    refusals: list[RefusalView]
    cost: float | None = Field(description="Null: its models are unknown.")
    queue: QueuePosition | None
    ends_in_s: float | None
    allowances: list[AllowanceView] = Field(description="Quotas that are set.")


def job_summary(job: Job) -> JobSummary:
    """A job for lists."""
    return JobSummary(
        id=str(job.pk),
        url=reverse("native:job", args=[job.pk]),
        state=job.state,  # type: ignore[arg-type]  # pydantic checks it
        progress=progress_of(job),
        dialect=job.dialect,
        operation=job.operation,
        external_id=job.external_id,
        lane=LANE_NAMES[Lane(job.lane)],
        images=job.request["num_images"],
        images_done=job.images_done,
        interrupted=job.interrupted,
        stopping=bool(job.signal),
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        cost=float(_cost(job)),
        error=JobError(code=job.error_code, message=job.error_message) if job.error_code else None,
    )


def _cost(job: Job) -> Decimal:
    return job.cost if job.is_terminal else job.cost_estimate


def job_detail(job: Job) -> JobDetail:
    """A job with its outputs, its state changes and its position in the queue."""
    eta = outlook(job)
    return JobDetail(
        **dict(job_summary(job)),
        queue=_queue_position(eta),
        ends_in_s=None if job.is_terminal else eta.ends_in_s,
        device_seconds=job.device_seconds,
        warnings=prompt_warnings(job),
        request=job.generation_request,
        rewriting=_rewriting(job),
        outputs=[_output(output) for output in job.image_outputs],
        extras=[_output(output) for output in job.extra_outputs] if job.workflow_id else [],
        findings=[FindingsView(index=found.index, data=found.data) for found in job.image_findings],
        timeline=[state_change(transition) for transition in job.transitions.all()],
    )


def new_job_detail(job: Job) -> JobDetail:
    """A job that was admitted just now. Needs no database query: it has no outputs, and one state change."""
    return JobDetail(
        **dict(job_summary(job)),
        queue=None,
        ends_in_s=None,
        device_seconds=0,
        warnings=prompt_warnings(job),
        request=job.generation_request,
        rewriting=_rewriting(job),
        outputs=[],
        extras=[],
        findings=[],
        timeline=[StateChange(at=job.created_at, from_state=None, to_state="queued")],
    )


def _rewriting(job: Job) -> Rewriting | None:
    written = job.rewriting.get("written")
    return Rewriting(mode=job.rewriting["mode"], written=written) if written else None


def _queue_position(eta: JobEta | None) -> QueuePosition | None:
    if eta is None or eta.reason is None:
        return None
    return QueuePosition(reason=eta.reason, ahead=eta.ahead, starts_in_s=eta.starts_in_s)


def quote_view(priced: Quote, more_refusals: Iterable[Refused]) -> QuoteView:
    """A quote, with further refusals of this API."""
    refusals = dict.fromkeys(_refusal(refused) for refused in (*priced.refusals, *more_refusals))
    return QuoteView(
        accepted=not refusals,
        refusals=list(refusals),
        cost=None if priced.cost is None else float(priced.cost),
        queue=_queue_position(priced.outlook),
        ends_in_s=priced.outlook.ends_in_s if priced.outlook else None,
        allowances=[_allowance(allowance) for allowance in priced.allowances],
    )


def _allowance(allowance: Allowance) -> AllowanceView:
    return AllowanceView(
        of="key" if isinstance(allowance.holder, AccessKey) else "source",
        limit=allowance.quota.limit,
        most=float(allowance.limit),
        used=float(allowance.used),
        left=float(allowance.left),
        renews_at=allowance.renews_at,
    )


def _refusal(refused: Refused) -> RefusalView:
    return RefusalView(
        code=refused.code, detail=refused.message, field=refused.field, retry_after=refused.retry_after
    )


def _output(output: Output) -> OutputView:
    route = "native:extra" if output.kind == OutputKind.EXTRA else "native:output"
    url = reverse(route, args=[output.job_id, output.index])
    fields = {name: getattr(output, name) for name in OutputView.model_fields if name != "url"}
    return OutputView(url=url, **fields)


def state_change(transition: Transition) -> StateChange:
    """A state change. Its note is for operators, and left out."""
    return StateChange(
        at=transition.at,
        from_state=transition.from_state or None,  # type: ignore[arg-type]  # pydantic checks it
        to_state=transition.to_state,  # type: ignore[arg-type]
    )
