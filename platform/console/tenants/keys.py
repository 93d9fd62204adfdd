"""Access keys from their source's page: made, made for a while, given a new secret, revoked.

A secret is on the one page that answers the POST, and decrypted nowhere else.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from access import installed_dialects as dialects
from access.models import LONGEST_TEMPORARY_MINUTES, AccessKey, BusinessSource
from access.networks import is_network
from console.admin_base.action_form import AskForm, ask
from console.admin_base.base import ConsoleAdmin
from jobs.images.signed_urls import base_url


def dialect_choices() -> list[tuple[str, str]]:
    return [(name, name) for name in dialects.installed()]


class NewKeyForm(AskForm):
    note = forms.CharField(
        label=gettext_lazy("note"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Who has it, and what for."),
        widget=UnfoldAdminTextInputWidget,
    )
    dialects = forms.MultipleChoiceField(
        label=gettext_lazy("dialects"),
        required=False,
        help_text=gettext_lazy("None: all of them."),
        choices=dialect_choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    networks = forms.CharField(
        label=gettext_lazy("networks"),
        required=False,
        max_length=2000,
        help_text=gettext_lazy("From which it may call, one a line, as 10.0.0.0/8. None: from everywhere."),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )

    def clean_networks(self) -> list[str]:
        networks = str(self.cleaned_data["networks"]).split()
        if wrong := [network for network in networks if not is_network(network)]:
            raise forms.ValidationError(_("No network: %(text)s") % {"text": wrong[0][:100]})
        return networks


class TemporaryKeyForm(AskForm):
    minutes = forms.IntegerField(
        label=gettext_lazy("minutes"),
        min_value=1,
        max_value=LONGEST_TEMPORARY_MINUTES,
        initial=60,
        help_text=gettext_lazy("Then it ends by itself."),
        widget=UnfoldAdminIntegerFieldWidget,
    )


class KeyMaking(ConsoleAdmin):
    """Of the page of a source."""

    def has_issue_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("access.add_accesskey")

    @action(description=gettext_lazy("New key"), permissions=["issue"], url_path="new-key", icon="key")
    @sensitive_variables("secret")
    def new_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        source = self.source_of(request, object_id)
        form = NewKeyForm(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            title = _("New key for %(source)s") % {"source": source}
            return ask(request, title, _("Create the key"), form=form)
        key, secret = AccessKey.issue(source, **form.cleaned_data)
        self.log_addition(request, key, "issued")
        return show_key(request, key, secret)

    @action(
        description=gettext_lazy("Temporary key"),
        permissions=["issue"],
        url_path="temporary-key",
        icon="timer",
    )
    @sensitive_variables("secret", "token")
    def new_temporary_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        source = self.source_of(request, object_id)
        form = TemporaryKeyForm(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            title = _("Temporary key for %(source)s") % {"source": source}
            text = _("For dialects that can send a session token with it: whoever uses it has to.")
            return ask(request, title, _("Create the key"), form=form, text=text)
        lifetime = timedelta(minutes=form.cleaned_data["minutes"])
        key, secret, token = AccessKey.issue_temporary(source, lifetime)
        self.log_addition(request, key, "issued for a while")
        return show_key(request, key, secret, token)

    def source_of(self, request: HttpRequest, object_id: str) -> BusinessSource:
        """404 for one of another tenant."""
        return found(self, request, object_id)


class KeyChanging(ConsoleAdmin):
    """Of the page of a key."""

    actions_detail = ["new_secret", "revoke"]

    def has_change_detail_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("access.change_accesskey")

    @action(
        description=gettext_lazy("New secret"),
        permissions=["change_detail"],
        url_path="new-secret",
        icon="autorenew",
    )
    @sensitive_variables("secret")
    def new_secret(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = found(self, request, object_id)
        if request.method != "POST":
            text = _(
                "The secret that it has now proves nothing from then on: its callers are denied at once."
            )
            return ask(request, _("A new secret for %(key)s") % {"key": key}, _("Rotate"), text=text)
        secret = key.rotate()
        self.log_change(request, key, "rotated")
        return show_key(request, key, secret)

    @action(
        description=gettext_lazy("Revoke"), permissions=["change_detail"], url_path="revoke", icon="block"
    )
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = found(self, request, object_id)
        if request.method != "POST":
            text = _("Its callers are denied at once. Jobs that it has sent go on. It can be enabled again.")
            return ask(request, _("Revoke %(key)s") % {"key": key}, _("Revoke"), text=text, danger=True)
        AccessKey.objects.filter(pk=key.pk).update(enabled=False)
        self.log_change(request, key, "revoked")
        self.message_user(request, _("%(key)s is revoked.") % {"key": key})
        return HttpResponseRedirect(reverse("admin:access_accesskey_change", args=[key.pk]))


def found(page: ConsoleAdmin, request: HttpRequest, object_id: str) -> Any:
    """A row that the user may see, or 404."""
    row = page.get_object(request, unquote(object_id))
    if row is None:
        raise Http404
    if not page.has_view_permission(request, row):
        raise PermissionDenied
    return row


@sensitive_variables()
def show_key(request: HttpRequest, key: AccessKey, secret: str, token: str = "") -> TemplateResponse:
    """A page and no message: those travel in a cookie. The admin forbids caches to keep its pages."""
    context = {
        **admin.site.each_context(request),
        "title": _("The secret of %(key)s") % {"key": key},
        "key": key,
        "secret": secret,
        "token": token,
        "base_url": base_url(request),
    }
    return TemplateResponse(request, "admin/access/new_key.html", context)
