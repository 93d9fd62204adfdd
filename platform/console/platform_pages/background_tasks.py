"""Admin pages of django-q2 (tasks, schedules, queue) with the console's theme, hidden from tenants."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext, gettext_lazy
from django_q import admin as django_q_admin
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin

from console.admin_base.base import HiddenFromTenants

for _model in (Failure, OrmQ, Schedule, Success):
    admin.site.unregister(_model)


class GroupFilter(admin.AllValuesFieldListFilter):
    """Filter by schedule: the group of a periodic task is the name of its schedule."""

    def choices(self, changelist: Any) -> Any:
        for choice in super().choices(changelist):
            yield choice | {"display": _translated(str(choice["display"]))}


class TaskAdmin(HiddenFromTenants, ModelAdmin):
    """Finished tasks, with the names of their schedules in the user's language."""

    def get_list_display(self, request: HttpRequest) -> list[str]:
        return ["schedule" if name == "group" else name for name in super().get_list_display(request)]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["schedule" if name == "group" else name for name in super().get_fields(request, obj)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [*super().get_readonly_fields(request, obj), "schedule"]

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return [("group", GroupFilter), "cluster"]

    @admin.display(description=gettext_lazy("Group"), ordering="group")
    def schedule(self, task: Success | Failure) -> str:
        return _translated(task.group)


@admin.register(Failure)
class FailureAdmin(TaskAdmin, django_q_admin.FailAdmin):
    pass


@admin.register(Success)
class SuccessAdmin(TaskAdmin, django_q_admin.TaskAdmin):
    pass


@admin.register(Schedule)
class ScheduleAdmin(HiddenFromTenants, django_q_admin.ScheduleAdmin, ModelAdmin):
    """When the periodic tasks run. What they run is not for the console: a dotted path and its arguments are code."""

    TIMES = ("schedule_type", "minutes", "next_run", "repeats")
    list_display_links = ("id", "shown_name")

    def get_list_display(self, request: HttpRequest) -> list[str]:
        return ["shown_name" if name == "name" else name for name in super().get_list_display(request)]

    def get_fields(self, request: HttpRequest, obj: Schedule | None = None) -> list[str]:
        return ["shown_name" if name == "name" else name for name in super().get_fields(request, obj)]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Schedule | None = None) -> list[str]:
        names = [field.name for field in Schedule._meta.fields if field.name not in self.TIMES]
        return [*names, "shown_name"]

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def shown_name(self, schedule: Schedule) -> str:
        return _translated(schedule.name)


@admin.register(OrmQ)
class QueueAdmin(HiddenFromTenants, django_q_admin.QueueAdmin, ModelAdmin):
    readonly_fields = django_q_admin.QueueAdmin.fields


def _translated(name: str | None) -> str:
    """A name that was marked for translation where its schedule is created."""
    return gettext(name) if name else "–"
