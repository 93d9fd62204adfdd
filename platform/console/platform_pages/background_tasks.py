"""Admin pages of django-q2 (tasks, schedules, queue) with the console's theme, hidden from tenants."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django_q import admin as django_q_admin
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin

from console.admin_base.base import HiddenFromTenants

for _model in (Failure, OrmQ, Schedule, Success):
    admin.site.unregister(_model)


@admin.register(Failure)
class FailureAdmin(HiddenFromTenants, django_q_admin.FailAdmin, ModelAdmin):
    pass


@admin.register(Success)
class SuccessAdmin(HiddenFromTenants, django_q_admin.TaskAdmin, ModelAdmin):
    pass


@admin.register(Schedule)
class ScheduleAdmin(HiddenFromTenants, django_q_admin.ScheduleAdmin, ModelAdmin):
    """When the periodic tasks run. What they run is not for the console: a dotted path and its arguments are code."""

    TIMES = ("schedule_type", "minutes", "next_run", "repeats")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Schedule | None = None) -> list[str]:
        return [field.name for field in Schedule._meta.fields if field.name not in self.TIMES]


@admin.register(OrmQ)
class QueueAdmin(HiddenFromTenants, django_q_admin.QueueAdmin, ModelAdmin):
    readonly_fields = django_q_admin.QueueAdmin.fields
