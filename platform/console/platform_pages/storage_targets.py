"""Admin of storage targets: storages that clients may have their images copied to."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from unfold.widgets import UnfoldAdminSelectWidget

from console.admin_base.base import ConsoleAdmin
from jobs.models.storage_target import StorageTarget, storage_choices


class StorageTargetForm(forms.ModelForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        help_text = self.fields["storage"].help_text
        self.fields["storage"] = forms.ChoiceField(
            choices=storage_choices(),
            label=self.fields["storage"].label,
            help_text=help_text,
            widget=UnfoldAdminSelectWidget,
        )


@admin.register(StorageTarget)
class StorageTargetAdmin(ConsoleAdmin):
    form = StorageTargetForm
    list_display = ["channel", "visibility", "enabled", "storage", "folder", "public_host"]
    list_filter = ["enabled", "visibility", "allowed_sources"]
    search_fields = ["channel"]
    autocomplete_fields = ["allowed_sources"]
