"""Admin pages of django-q2 (tasks, schedules, queue) with the console's theme, hidden from tenants."""

from __future__ import annotations

from django.contrib import admin
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
    pass


@admin.register(OrmQ)
class QueueAdmin(HiddenFromTenants, django_q_admin.QueueAdmin, ModelAdmin):
    pass
