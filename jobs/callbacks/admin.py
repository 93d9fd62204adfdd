"""What was sent to whom, what they said, and sending it again."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from . import outbox
from .models import Callback, CallbackAttempt


class AttemptInline(admin.TabularInline):
    model = CallbackAttempt
    fields = ["number", "at", "status", "acknowledged", "excerpt"]
    readonly_fields = ["number", "at", "status", "acknowledged", "excerpt"]
    can_delete = False
    extra = max_num = 0


@admin.register(Callback)
class CallbackAdmin(admin.ModelAdmin):
    list_display = ["job_id", "state", "dialect", "url", "attempts", "last_status", "next_at", "created_at"]
    list_filter = ["state", "dialect", "job__source", "created_at"]
    search_fields = ["url", "job__external_id__startswith"]
    show_full_result_count = False
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

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Callback | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Callback | None = None) -> bool:
        return False

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.change_callback")

    @admin.action(description=_("Send the selected callbacks again"), permissions=["replay"])
    def replay(self, request: HttpRequest, callbacks: QuerySet[Callback]) -> None:
        again = sum(outbox.replay(callback) for callback in callbacks)
        self.message_user(request, _("Callbacks that will be sent again: %d") % again)
