"""Access keys in the console: create, create temporarily, rotate and revoke.

A secret is shown once, on the page that answers the POST, and is not decrypted anywhere else.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
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

from access.addresses.networks import is_network
from access.installed_dialects import installed
from access.keys.bearer_tokens import opaque_token
from access.models import MAX_TEMPORARY_KEY_MINUTES, AccessKey, BusinessSource
from console.admin_base.action_form import ActionForm, action_page
from console.admin_base.base import ConsoleAdmin, visible_object
from console.admin_base.tabs import Tab, TabbedAdmin
from jobs.api_reference import dialects
from jobs.api_reference.contexts import context_of
from jobs.api_reference.examples.texts import Text, texts
from jobs.images.signed_urls import base_url


def dialect_choices() -> list[tuple[str, str]]:
    return [(name, name) for name in installed()]


class NewKeyForm(ActionForm):
    note = forms.CharField(
        label=gettext_lazy("note"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Holder and purpose of the key."),
        widget=UnfoldAdminTextInputWidget,
    )
    dialects = forms.MultipleChoiceField(
        label=gettext_lazy("dialects"),
        required=False,
        help_text=gettext_lazy("None selected: all dialects."),
        choices=dialect_choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    networks = forms.CharField(
        label=gettext_lazy("networks"),
        required=False,
        max_length=2000,
        help_text=gettext_lazy("Networks of permitted callers, one per line, e.g. 10.0.0.0/8. Empty: any."),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )

    def clean_networks(self) -> list[str]:
        networks = str(self.cleaned_data["networks"]).split()
        if invalid := [network for network in networks if not is_network(network)]:
            raise forms.ValidationError(_("Not a network: %(text)s") % {"text": invalid[0][:100]})
        return networks


class TemporaryKeyForm(ActionForm):
    minutes = forms.IntegerField(
        label=gettext_lazy("minutes"),
        min_value=1,
        max_value=MAX_TEMPORARY_KEY_MINUTES,
        initial=60,
        help_text=gettext_lazy("The key expires after this time."),
        widget=UnfoldAdminIntegerFieldWidget,
    )


REQUESTS = Tab("requests", gettext_lazy("Example requests"))


def examples_of(key: AccessKey, base: str, secret: str = "") -> list[tuple[str, list[Text]]]:
    """A request in each dialect that the key may use, in every language; none for a temporary key."""
    if key.session_token:
        return []
    context = context_of(key.source, key, base)
    calls = {name: dialects.get(name).reference(context).call for name in dialects.allowed(key.source, key)}
    return [(name, texts(call, secret)) for name, call in calls.items()]


def requests_context(key: AccessKey, base: str) -> dict[str, Any]:
    """Template context of a tab that has nothing to save."""
    return {"examples": examples_of(key, base), "show_save": False, "show_delete_link": False}


class KeyCreationMixin(ConsoleAdmin):
    """Buttons of a source's page that create keys."""

    def has_issue_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("access.add_accesskey")

    @action(description=gettext_lazy("New key"), permissions=["issue"], url_path="new-key", icon="key")
    @sensitive_variables("secret")
    def new_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        source = self.source_of(request, object_id)
        form = NewKeyForm(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            title = _("New key for %(source)s") % {"source": source}
            return action_page(request, title, _("Create the key"), form=form)
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
            text = _("For dialects that can send a session token. Every request must send it with the key.")
            return action_page(request, title, _("Create the key"), form=form, text=text)
        lifetime = timedelta(minutes=form.cleaned_data["minutes"])
        key, secret, token = AccessKey.issue_temporary(source, lifetime)
        self.log_addition(request, key, "issued temporarily")
        return show_key(request, key, secret, token)

    def source_of(self, request: HttpRequest, object_id: str) -> BusinessSource:
        """The source. Raises Http404 for a source of another tenant."""
        source: BusinessSource = visible_object(self, request, object_id)
        return source


class KeyActionsMixin(TabbedAdmin):
    """Buttons of a key's page."""

    actions_detail = ["new_secret", "revoke"]
    change_form_outer_after_template = "admin/access/key_examples.html"

    def tab_context(self, request: HttpRequest, obj: AccessKey, tab: Tab) -> dict[str, Any]:
        return requests_context(obj, base_url(request)) if tab == REQUESTS else {}

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
        key = visible_object(self, request, object_id)
        if request.method != "POST":
            title = _("New secret for %(key)s") % {"key": key}
            text = _("The current secret becomes invalid immediately. Clients that use it are denied.")
            return action_page(request, title, _("Rotate"), text=text)
        secret = key.rotate()
        self.log_change(request, key, "rotated")
        return show_key(request, key, secret)

    @action(
        description=gettext_lazy("Revoke"), permissions=["change_detail"], url_path="revoke", icon="block"
    )
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = visible_object(self, request, object_id)
        if request.method != "POST":
            title = _("Revoke %(key)s") % {"key": key}
            text = _(
                "Requests with this key are denied immediately. Jobs already submitted continue. "
                "The key can be enabled again."
            )
            return action_page(request, title, _("Revoke"), text=text, danger=True)
        AccessKey.objects.filter(pk=key.pk).update(enabled=False)
        self.log_change(request, key, "revoked")
        self.message_user(request, _("%(key)s is revoked.") % {"key": key})
        return HttpResponseRedirect(reverse("admin:access_accesskey_change", args=[key.pk]))


@sensitive_variables()
def show_key(request: HttpRequest, key: AccessKey, secret: str, token: str = "") -> TemplateResponse:
    """Page with a new key's secret.

    Not a Django message, because those may be stored in a cookie. The admin marks its pages as not cacheable.
    """
    context = {
        **admin.site.each_context(request),
        "title": _("The secret of %(key)s") % {"key": key},
        "key": key,
        "secret": secret,
        "token": token,
        "bearer_token": "" if key.session_token else opaque_token(key.key_id, secret),
        "examples": examples_of(key, base_url(request), secret),
    }
    return TemplateResponse(request, "admin/access/new_key.html", context)
