"""What was sent to whom, what they said, and sending it again."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from console.base import ConsoleAdmin, ReadOnly
from jobs.callbacks import outbox
from jobs.callbacks.models import Callback, CallbackAttempt


class AttemptInline(TabularInline):
    model = CallbackAttempt
    fields = ["number", "at", "status", "acknowledged", "excerpt"]
    readonly_fields = ["number", "at", "status", "acknowledged", "excerpt"]
    can_delete = False
    extra = max_num = 0


@admin.register(Callback)
class CallbackAdmin(ReadOnly, ConsoleAdmin):
    source_path = "job__source"
    list_display = ["job_id", "state", "dialect", "url", "attempts", "last_status", "next_at", "created_at"]
    list_filter = ["state", "dialect", "job__source", "created_at"]
    search_fields = ["url", "job__external_id__startswith"]
    actions = ["replay"]
    inlines = [AttemptInline]
    fields = [
        "id",
        "job",
        "dialect",
        "url",
        "state",
        "attempts",
        "next_at",
        "last_status",
        "last_excerpt",
        "body",
        "created_at",
        "delivered_at",
    ]

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.change_callback")

    @admin.action(description=_("Send the selected callbacks again"), permissions=["replay"])
    def replay(self, request: HttpRequest, callbacks: QuerySet[Callback]) -> None:
        again = sum(outbox.replay(callback) for callback in callbacks)
        self.message_user(request, _("Callbacks that will be sent again: %d") % again)
