"""Pages of jobs and usage: REST framework's cursor pagination, and the query parameters of both lists."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

from dialects.native.errors import FieldError, Problem
from jobs.models import Job

from .json_body import PlainText

EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


def _storable(at: datetime) -> datetime:
    if at.tzinfo is None or not EARLIEST.replace(tzinfo=None) < at.replace(tzinfo=None) < LATEST.replace(
        tzinfo=None
    ):
        raise ValueError("the year must be from 1970 to 9999")
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
    cursor: str | None = Field(default=None, max_length=200, description="``next`` of the previous page.")


class UsageQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    since: date | None = Field(default=None, ge=EARLIEST.date())
    until: date | None = Field(default=None, ge=EARLIEST.date(), description="Inclusive.")
    limit: Annotated[int, Field(ge=1, le=366)] = 31
    cursor: str | None = Field(default=None, max_length=200, description="``next`` of the previous page.")


class OpaqueCursorPagination(CursorPagination):
    """``next`` of a page is the cursor alone, not a URL. A cursor that was not issued here is a problem of its field."""

    def __init__(self, page_size: int) -> None:
        self.page_size = page_size

    def page_of(self, rows: QuerySet[Any, Any], request: Request) -> tuple[list[Any], str | None]:
        page = self.paginate_queryset(rows, request) or []
        return page, self.get_next_link()

    @staticmethod
    def check_position(position: str) -> None:
        """Raises ValueError for a text that is not a value of the column that the list is ordered by."""
        raise NotImplementedError

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            cursor = super().decode_cursor(request)
            if cursor and cursor.position is not None:
                self.check_position(str(cursor.position))
        except (NotFound, ValueError):
            raise _invalid_cursor() from None
        # REST framework ignores unknown parts of a cursor, and would return the first page.
        if cursor and self.encode_cursor(cursor) != request.query_params[self.cursor_query_param]:
            raise _invalid_cursor()
        return cursor

    def encode_cursor(self, cursor: Cursor) -> str:
        query = parse_qs(urlsplit(super().encode_cursor(cursor)).query, keep_blank_values=True)
        return query[self.cursor_query_param][0]


def _invalid_cursor() -> Problem:
    return Problem.unprocessable([FieldError(loc=["cursor"], msg=_("Invalid cursor."), type="cursor")])


class JobPagination(OpaqueCursorPagination):
    """The newest first. Jobs created in the same microsecond are distinguished by an offset in the cursor."""

    ordering = ("-created_at", "-id")

    @staticmethod
    def check_position(position: str) -> None:
        _storable(datetime.fromisoformat(position))


class UsagePagination(OpaqueCursorPagination):
    """The newest day first."""

    ordering = ("-day",)

    @staticmethod
    def check_position(position: str) -> None:
        date.fromisoformat(position)


def filtered(jobs: QuerySet[Job], query: JobQuery) -> QuerySet[Job]:
    conditions = {
        "state__in": query.state or None,
        "external_id": query.external_id,
        "dialect": query.dialect,
        "created_at__gte": query.since,
        "created_at__lt": query.until,
    }
    return jobs.filter(**{name: value for name, value in conditions.items() if value is not None})
