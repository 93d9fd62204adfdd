"""The background cluster's tasks, as django-q2 shows them, in the console's clothes."""

from __future__ import annotations

from django.contrib import admin
from django_q import admin as theirs
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin

from console.admin_base.base import HiddenFromTenants

for _model in (Failure, OrmQ, Schedule, Success):
    admin.site.unregister(_model)


@admin.register(Failure)
class FailureAdmin(HiddenFromTenants, theirs.FailAdmin, ModelAdmin):
    pass


@admin.register(Success)
class SuccessAdmin(HiddenFromTenants, theirs.TaskAdmin, ModelAdmin):
    pass


@admin.register(Schedule)
class ScheduleAdmin(HiddenFromTenants, theirs.ScheduleAdmin, ModelAdmin):
    pass


@admin.register(OrmQ)
class QueueAdmin(HiddenFromTenants, theirs.QueueAdmin, ModelAdmin):
    pass
