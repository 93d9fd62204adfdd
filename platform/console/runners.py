"""The runners: where they are, what they hold, and whether they may take work."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.base import ConsoleAdmin
from jobs.models import Runner


class RunnerForm(forms.ModelForm):
    url = forms.URLField(label=_("address"), max_length=300, assume_scheme="http")
    new_token = forms.CharField(
        label=_("new token"),
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("Empty: it stays as it is. A runner without one uses RUNNER_TOKEN."),
    )

    def save(self, commit: bool = True) -> Any:
        if self.cleaned_data["new_token"]:
            self.instance.token = self.cleaned_data["new_token"]
        return super().save(commit)


@admin.register(Runner)
class RunnerAdmin(ConsoleAdmin):
    form = RunnerForm
    list_display = ["name", "url", "backend", "enabled", "draining", "slots", "device", "seen_at", "problem"]
    list_filter = ["enabled", "draining", "backend"]
    fields = [
        "name",
        "url",
        "backend",
        "new_token",
        "enabled",
        "draining",
        "slots",
        "device",
        "memory_bytes",
        "version",
        "models_of_its_own",
        "seen_at",
        "problem",
    ]
    readonly_fields = [
        *["slots", "device", "memory_bytes", "version", "models_of_its_own", "seen_at", "problem"]
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Runner]:
        return super().get_queryset(request).defer("token", "nodes")

    @admin.display(description=_("own model files"))
    def models_of_its_own(self, runner: Runner) -> str:
        return ", ".join(runner.own_files.order_by("path").values_list("path", flat=True)) or "–"
