"""Pages by key: what comes or goes meanwhile neither repeats nor hides a row. Cursors are opaque to clients."""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from dialects.native.errors import Complaint, Problem
from jobs.models import Job

from .json_body import PlainText

EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


def _storable(at: datetime) -> datetime:
    if at.tzinfo is None or not EARLIEST.replace(tzinfo=None) < at.replace(tzinfo=None) < LATEST.replace(
        tzinfo=None
    ):
        raise ValueError("a year from 1970 to 9999")
    return at


Moment = Annotated[AwareDatetime, AfterValidator(_storable)]
Limit = Annotated[int, Field(ge=1, le=200)]


class JobQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    state: tuple[Literal["queued", "running", "succeeded", "failed", "cancelled", "expired"], ...] = Field(
        default=(), description="May be given more than once."
    )
    external_id: PlainText | None = Field(default=None, max_length=200)
    dialect: PlainText | None = Field(default=None, max_length=32)
    since: Moment | None = Field(default=None, description="Created at or after.")
    until: Moment | None = Field(default=None, description="Created before.")
    limit: Limit = 50
    cursor: str | None = Field(default=None, max_length=200, description="``next`` of the page before.")


class UsageQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    since: date | None = Field(default=None, ge=EARLIEST.date())
    until: date | None = Field(default=None, ge=EARLIEST.date(), description="That day included.")
    limit: Annotated[int, Field(ge=1, le=366)] = 31
    cursor: str | None = Field(default=None, max_length=200, description="``next`` of the page before.")


def jobs_page(jobs: QuerySet[Job], query: JobQuery) -> tuple[list[Job], str | None]:
    """The newest first."""
    found = _filtered(jobs, query)
    if query.cursor:
        found = found.filter(_older_than(query.cursor))
    rows = list(found.order_by("-created_at", "-id")[: query.limit + 1])
    return rows[: query.limit], _cursor(rows[query.limit - 1]) if len(rows) > query.limit else None


def _filtered(jobs: QuerySet[Job], query: JobQuery) -> QuerySet[Job]:
    wanted = {
        "state__in": query.state or None,
        "external_id": query.external_id,
        "dialect": query.dialect,
        "created_at__gte": query.since,
        "created_at__lt": query.until,
    }
    return jobs.filter(**{name: value for name, value in wanted.items() if value is not None})


def _cursor(job: Job) -> str:
    return encode(f"{job.created_at.isoformat()} {job.pk}")


def _older_than(cursor: str) -> Q:
    at, _space, job_id = decode(cursor).partition(" ")
    try:
        created_at, pk = _storable(datetime.fromisoformat(at)), uuid.UUID(job_id)
    except ValueError:
        raise bad_cursor() from None
    # The first condition alone says it all; the second lets the database start in the right place of its index.
    older = Q(created_at__lt=created_at) | Q(created_at=created_at, id__lt=pk)
    return older & Q(created_at__lte=created_at)


def encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        raise bad_cursor() from None


def bad_cursor() -> Problem:
    complaint = Complaint(loc=["cursor"], msg=_("This is no cursor of ours."), type="cursor")
    return Problem.unprocessable([complaint])
