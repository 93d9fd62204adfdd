"""From rows to the wire. The OpenAPI document is made of these models."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from django.urls import reverse
from pydantic import BaseModel, ConfigDict, Field

from access.models import AccessKey
from dialects.native.request.submission import LANES, LaneName
from gpu_runner.protocol import GenerationRequest
from jobs.admission.quote import Quote
from jobs.billing.quotas import Allowance
from jobs.errors import Refused
from jobs.models import Job, Lane, Output, Transition
from jobs.scheduling.eta import JobEta, outlook, progress_of
from jobs.scheduling.policy import Reason

StateName = Literal["queued", "running", "succeeded", "failed", "cancelled", "expired"]
LANE_NAMES: dict[int, LaneName] = {lane: name for name, lane in LANES.items()}


NEXT = "The cursor of the following page; none on the last."


class JobError(BaseModel):
    code: str
    message: str


class JobSummary(BaseModel):
    id: str
    url: str
    state: StateName
    progress: float = Field(ge=0, le=1)
    dialect: str = Field(description="Through which of the platform's APIs it came.")
    operation: str
    external_id: str
    lane: LaneName
    images: int = Field(description="Pictures that were asked for.")
    images_done: int
    interrupted: bool = Field(description="Succeeded with less than was asked for.")
    stopping: bool = Field(description="Somebody asked to stop it, and its runner has not done so yet.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cost: float = Field(description="Booked when it succeeded; until then what is reserved.")
    error: JobError | None


class JobPage(BaseModel):
    items: list[JobSummary]
    next: str | None = Field(description=NEXT)


class OutputView(BaseModel):
    index: int
    url: str
    content_type: str
    width: int
    height: int
    size_bytes: int
    sha256: str
    seed: int
    infotext: str
    nsfw: bool | None = Field(description="Whether it was found unfit to be shown; null: nobody looked.")
    nsfw_score: float | None


class Step(BaseModel):
    """One change of a job's state."""

    at: datetime
    from_state: StateName | None
    to_state: StateName


class Place(BaseModel):
    """Why a queued job does not run yet. Seconds are guesses."""

    reason: Reason
    ahead: int = Field(description="Jobs that would start before it.")
    starts_in_s: float | None


class JobDetail(JobSummary):
    queue: Place | None = Field(
        description="While it waits; not in the answer to its submission, which weighs it against nobody."
    )
    ends_in_s: float | None = Field(description="A guess; none when nobody can tell.")
    device_seconds: float
    request: GenerationRequest
    outputs: list[OutputView]
    timeline: list[Step]


class PictureView(BaseModel):
    sha256: str


class ModelView(BaseModel):
    kind: str
    name: str
    family: str
    sha256: str
    size_bytes: int
    is_default: bool
    licence: str
    trigger_words: list[str]
    cost_multiplier: float
    metadata: dict[str, str]


class ModelList(BaseModel):
    items: list[ModelView]


class SamplerView(BaseModel):
    name: str
    automatic_scheduler: str = Field(description="What the scheduler Automatic stands for.")
    second_order: bool = Field(description="Asks the model twice a step.")
    default_eta: float | None = Field(description="None: eta has no effect.")


class SamplerList(BaseModel):
    items: list[SamplerView]


class SchedulerView(BaseModel):
    name: str


class SchedulerList(BaseModel):
    items: list[SchedulerView]


class UsageDay(BaseModel):
    """Jobs that ended on that day."""

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
    model_config = ConfigDict(frozen=True)

    code: str
    detail: str
    field: str | None
    retry_after: int | None


class AllowanceView(BaseModel):
    """One quota: what is left of it before the job. What waits and runs counts as used."""

    of: Literal["source", "key"]
    limit: str = Field(examples=["images_per_day"])
    most: float
    used: float
    left: float
    renews_at: datetime | None = Field(description="None: it does not renew itself.")


class QuoteView(BaseModel):
    accepted: bool
    refusals: list[RefusalView]
    cost: float | None = Field(description="None: its models are not known.")
    queue: Place | None
    ends_in_s: float | None
    allowances: list[AllowanceView] = Field(description="Of the quotas that are set.")


def job_summary(job: Job) -> JobSummary:
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
    expected = outlook(job)
    return JobDetail(
        **dict(job_summary(job)),
        queue=_place(expected),
        ends_in_s=None if job.is_terminal else expected.ends_in_s,
        device_seconds=job.device_seconds,
        request=job.generation_request,
        outputs=[_output(output) for output in job.pictures],
        timeline=[step(transition) for transition in job.transitions.all()],
    )


def new_job_detail(job: Job) -> JobDetail:
    """Of one that was admitted just now, without asking the database for what must be so."""
    return JobDetail(
        **dict(job_summary(job)),
        queue=None,
        ends_in_s=None,
        device_seconds=0,
        request=job.generation_request,
        outputs=[],
        timeline=[Step(at=job.created_at, from_state=None, to_state="queued")],
    )


def _place(expected: JobEta | None) -> Place | None:
    if expected is None or expected.reason is None:
        return None
    return Place(reason=expected.reason, ahead=expected.ahead, starts_in_s=expected.starts_in_s)


def quote_view(priced: Quote, also: Iterable[Refused]) -> QuoteView:
    refusals = dict.fromkeys(_refusal(refused) for refused in (*priced.refusals, *also))
    return QuoteView(
        accepted=not refusals,
        refusals=list(refusals),
        cost=None if priced.cost is None else float(priced.cost),
        queue=_place(priced.outlook),
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
    url = reverse("native:output", args=[output.job_id, output.index])
    copied = {name: getattr(output, name) for name in OutputView.model_fields if name != "url"}
    return OutputView(url=url, **copied)


def step(transition: Transition) -> Step:
    """Without its note, which is for ops."""
    return Step(at=transition.at, from_state=transition.from_state or None, to_state=transition.to_state)  # type: ignore[arg-type]
