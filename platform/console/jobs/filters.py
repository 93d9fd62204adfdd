"""Filters of the list of jobs. Their choices are not read from the jobs table, which may have millions of rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, get_args

from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import TextFilter

from console.admin_base.choice_filters import Choice, ChoiceFilter
from gpu_runner.protocol import ErrorCode
from jobs.api_reference.dialects import names as dialect_names
from jobs.execution.lifecycle import POISONED
from jobs.models import Job, Lane, Runner, State
from jobs.selectors import WITH_ERRORS, with_end_user, with_error_code
from models_registry.models import Kind, ModelFile


class StateFilter(ChoiceFilter):
    title, parameter_name, field = _("state"), "state", "state"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Job]) -> list[Choice]:
        return State.choices


class DialectFilter(ChoiceFilter):
    title, parameter_name, field = _("dialect"), "dialect", "dialect"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Job]) -> list[Choice]:
        return [(name, name) for name in sorted(dialect_names())]


class LaneFilter(ChoiceFilter):
    title, parameter_name, field = _("lane"), "lane", "lane"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Job]) -> list[Choice]:
        return Lane.choices


class CheckpointFilter(ChoiceFilter):
    title, parameter_name, field = _("checkpoint"), "model", "checkpoint"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Job]) -> list[Choice]:
        return list(ModelFile.objects.filter(kind=Kind.CHECKPOINT).order_by("name").values_list("pk", "name"))


class RunnerFilter(ChoiceFilter):
    title, parameter_name, field = _("runner"), "runner", "runner"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Job]) -> list[Choice]:
        return list(Runner.objects.values_list("pk", "name"))


class ErrorFilter(ChoiceFilter):
    title, parameter_name = _("error"), "error"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Job]) -> list[Choice]:
        codes = sorted({*get_args(ErrorCode), POISONED, "expired"} - {"cancelled"})
        return [("any", _("any")), *((code, code) for code in codes)]

    def filter_rows(self, jobs: QuerySet[Job], value: str) -> QuerySet[Job]:
        if value == "any":
            return jobs.filter(state__in=WITH_ERRORS)
        return with_error_code(jobs, value)


class EndUserFilter(TextFilter):
    title, parameter_name = _("end user"), "end_user"

    def queryset(self, request: HttpRequest, jobs: QuerySet[Job]) -> QuerySet[Job]:
        value = self.value()
        if not value:
            return jobs
        return with_end_user(jobs, value) if "\0" not in value else jobs.none()


class AgeFilter(ChoiceFilter):
    title, parameter_name = _("created"), "age"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Job]) -> list[Choice]:
        return [(name, label) for name, (label, _span) in SPANS.items()]

    def filter_rows(self, jobs: QuerySet[Job], value: str) -> QuerySet[Job]:
        begin, end = SPANS[value][1](timezone.localtime())
        return jobs.filter(created_at__gte=begin, created_at__lt=end)


Span = Callable[[datetime], tuple[datetime, datetime]]
DAY = timedelta(days=1)


def _midnight(now: datetime, days_ago: int = 0) -> datetime:
    day = (now - days_ago * DAY).date()
    return timezone.make_aware(datetime(day.year, day.month, day.day))


SPANS: dict[str, tuple[Any, Span]] = {
    "hour": (_("the last hour"), lambda now: (now - timedelta(hours=1), now + DAY)),
    "today": (_("today"), lambda now: (_midnight(now), now + DAY)),
    "yesterday": (_("yesterday"), lambda now: (_midnight(now, 1), _midnight(now))),
    "week": (_("the last 7 days"), lambda now: (now - 7 * DAY, now + DAY)),
    "month": (_("the last 30 days"), lambda now: (now - 30 * DAY, now + DAY)),
}

NOT_FOR_TENANTS = (CheckpointFilter, RunnerFilter)  # their choices are shared by all tenants
