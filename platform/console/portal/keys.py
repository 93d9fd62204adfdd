"""Keys of a source with their use and their limits, and the secret of its callbacks' signatures."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from access.keys.console_keys import is_console_key
from access.models import AccessKey, BusinessSource, CallbackSecret
from console.admin_base.action_form import action_page

from .chosen_source import chosen_source, page_context
from .quota_use import QuotaUse, of_key

VIEW_KEYS, ADD_KEY, CHANGE_KEY = "access.view_accesskey", "access.add_accesskey", "access.change_accesskey"
MAX_KEYS = 100
SIGNATURE = "X-Atelier-Signature"


@dataclass(frozen=True)
class KeyCard:
    key: AccessKey
    use: list[QuotaUse]
    limits: list[tuple[str, object]]
    is_of_console: bool


def page(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm(VIEW_KEYS):
        raise PermissionDenied
    source = chosen_source(request)
    context = page_context(request, _("Keys"), source)
    if source is not None:
        keys = AccessKey.objects.filter(source=source).defer("secret").order_by("-enabled", "-created_at")
        context |= {
            "cards": sorted(map(_card, keys[:MAX_KEYS]), key=lambda card: card.is_of_console),
            "may_add": request.user.has_perm(ADD_KEY),
            "may_change": request.user.has_perm(CHANGE_KEY),
            "callback_secret": CallbackSecret.objects.filter(source=source).defer("secret").first(),
            "signature": SIGNATURE,
        }
    return render(request, "admin/portal/keys.html", context)


def _card(key: AccessKey) -> KeyCard:
    return KeyCard(key, of_key(key), limits_of(key), is_console_key(key))


LIMITS = (
    *("requests_per_second", "burst", "max_concurrent_jobs", "max_queued_jobs", "max_width", "max_height"),
    *("max_steps", "max_images", "images_per_day", "images_per_month", "cost_per_day", "cost_per_month"),
    "total_budget",
)


def limits_of(holder: AccessKey | BusinessSource) -> list[tuple[str, object]]:
    """Limits that are set, by their names."""
    fields = [holder._meta.get_field(name) for name in LIMITS]
    values = [(str(field.verbose_name), getattr(holder, field.name)) for field in fields]  # type: ignore[union-attr]
    return [(name, value) for name, value in values if value is not None]


@sensitive_variables("secret")
def callback_secret(request: HttpRequest) -> HttpResponse:
    """Issue the secret of the callbacks' signatures, or replace it. It is shown once, in the response to the POST."""
    if not request.user.has_perm(ADD_KEY):
        raise PermissionDenied
    source = chosen_source(request)
    if source is None:
        raise Http404
    if request.method != "POST":
        text = _(
            "Callbacks are signed in the header X-Atelier-Signature. A new secret replaces the current one immediately: "
            "your program must know it before the next callback is sent."
        )
        title = _("Secret of the callbacks of %(source)s") % {"source": source}
        return action_page(request, title, _("Issue the secret"), text=text)
    secret = CallbackSecret.issue(source)
    user_id = int(request.user.pk or 0)  # the page requires a signed-in user
    LogEntry.objects.log_actions(user_id, [source], CHANGE, "callback secret issued", single_object=True)
    context = page_context(request, _("Secret of the callbacks of %(source)s") % {"source": source}, source)
    return render(
        request, "admin/portal/callback_secret.html", context | {"secret": secret, "signature": SIGNATURE}
    )
