"""The background cluster's tasks, as django-q2 shows them, in the console's clothes."""

from __future__ import annotations

from django.contrib import admin
from django_q import admin as theirs
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin

from console.admin_base.base import OfThePlatform

for _model in (Failure, OrmQ, Schedule, Success):
    admin.site.unregister(_model)


@admin.register(Failure)
class FailureAdmin(OfThePlatform, theirs.FailAdmin, ModelAdmin):
    pass


@admin.register(Success)
class SuccessAdmin(OfThePlatform, theirs.TaskAdmin, ModelAdmin):
    pass


@admin.register(Schedule)
class ScheduleAdmin(OfThePlatform, theirs.ScheduleAdmin, ModelAdmin):
    pass


@admin.register(OrmQ)
class QueueAdmin(OfThePlatform, theirs.QueueAdmin, ModelAdmin):
    pass
