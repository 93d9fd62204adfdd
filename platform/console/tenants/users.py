"""Admin of console users and roles."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import AbstractBaseUser, Group
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from access.models import Membership
from console.admin_base.base import HiddenFromTenants, TenantRestrictions
from console.admin_base.fields import LabeledAutocomplete, LabeledInline

User = get_user_model()
admin.site.unregister(User)
admin.site.unregister(Group)

ONLY_FOR_SUPERUSERS = ("is_superuser", "user_permissions")


class MembershipInline(TenantRestrictions, LabeledInline):
    model = Membership
    extra = 0


@admin.register(User)
class UserAdmin(HiddenFromTenants, DjangoUserAdmin, LabeledAutocomplete):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    inlines = [MembershipInline]
    list_display = ["username", "email", "is_active", "is_staff", "last_login"]
    list_filter = ["is_staff", "is_active", "groups"]
    filter_horizontal = ["user_permissions"]
    autocomplete_fields = ["groups"]
    add_fieldsets = (*DjangoUserAdmin.add_fieldsets, (None, {"fields": ["groups"]}))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Hides superusers from other users, who could otherwise take over such an account."""
        users = super().get_queryset(request)
        return users if request.user.is_superuser else users.filter(is_superuser=False)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save a user. A new one may sign in: there are no users of anything but the console."""
        if not change:
            obj.is_staff = True
        super().save_model(request, obj, form, change)

    def get_fieldsets(self, request: HttpRequest, obj: AbstractBaseUser | None = None) -> Any:
        """Only superusers may grant superuser status or single permissions; others assign roles."""
        sets = super().get_fieldsets(request, obj)
        if request.user.is_superuser:
            return sets
        return [
            (
                title,
                {
                    **options,
                    "fields": [name for name in options["fields"] if name not in ONLY_FOR_SUPERUSERS],
                },
            )
            for title, options in sets
        ]


@admin.register(Group)
class GroupAdmin(HiddenFromTenants, DjangoGroupAdmin, LabeledAutocomplete):
    list_display = ["name"]
