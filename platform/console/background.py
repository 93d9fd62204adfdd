"""The background cluster's tasks, as django-q2 shows them, in the console's clothes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django_q import admin as theirs
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin

from access.tenancy import visible_sources

for _model in (Failure, OrmQ, Schedule, Success):
    admin.site.unregister(_model)


class PlatformsOwn(ModelAdmin):
    """Rows that belong to no tenant."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows if visible_sources(request.user) is None else rows.none()


@admin.register(Failure)
class FailureAdmin(theirs.FailAdmin, PlatformsOwn):
    pass


@admin.register(Success)
class SuccessAdmin(theirs.TaskAdmin, PlatformsOwn):
    pass


@admin.register(Schedule)
class ScheduleAdmin(theirs.ScheduleAdmin, PlatformsOwn):
    pass


@admin.register(OrmQ)
class QueueAdmin(theirs.QueueAdmin, PlatformsOwn):
    pass
