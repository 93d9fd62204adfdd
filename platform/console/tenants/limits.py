"""Limits on the pages of sources and keys: form fields, sections, and the current usage beside each limit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from access import account_balances
from access.accounts import MICROS, Account, owner_of_key
from access.models import AccessKey, BusinessSource
from access.source_settings.limits import KINDS
from console.admin_base.fields import LinesField
from console.admin_base.tabs import TabForm
from jobs.execution import slots
from jobs.models import State

from .keys import dialect_choices
from .prompt_modes import PromptModesField

Holder = BusinessSource | AccessKey
RATE_LIMITS = (
    gettext_lazy("Rate limits"),
    {
        "fields": [
            ("requests_per_second", "burst"),
            ("max_concurrent_jobs", "max_queued_jobs"),
            "used_now",
        ]
    },
)
SIZE_LIMITS = (
    gettext_lazy("Size limits"),
    {
        "fields": [
            ("max_width", "max_height"),
            ("max_steps", "max_images"),
            ("max_training_steps", "max_training_images"),
        ]
    },
)
QUOTAS = (
    gettext_lazy("Quotas"),
    {
        "description": gettext_lazy(
            "Queued and running jobs count with their estimated cost until they end. Empty: no limit."
        ),
        "fields": [
            ("images_per_day", "cost_per_day"),
            "used_today",
            ("images_per_month", "cost_per_month"),
            "used_this_month",
            ("total_budget", "used_in_all"),
            "trainings_per_month",
        ],
    },
)
USAGE = ("used_now", "used_today", "used_this_month", "used_in_all")


class LimitsForm(TabForm):
    """Model form whose lists are edited as checkboxes or as text with one entry per line."""

    dialects = forms.MultipleChoiceField(
        label=gettext_lazy("dialects"),
        required=False,
        help_text=gettext_lazy("None selected: all dialects."),
        choices=dialect_choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    networks = LinesField(
        label=gettext_lazy("networks"),
        required=False,
        max_length=5000,
        help_text=gettext_lazy("Networks of permitted callers, one per line, e.g. 10.0.0.0/8. Empty: any."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():  # capitalized, as model forms do for their own fields
            field.label = capfirst(field.label)


class SourceForm(LimitsForm):
    prompt_modes = PromptModesField()
    keyless_networks = LinesField(
        label=gettext_lazy("networks without a key"),
        required=False,
        max_length=5000,
        help_text=gettext_lazy(
            "Callers from these networks need no key in dialects without keys, such as the SMZDM API; one per line. "
            "Empty: no network. Proxies in front of the platform must be listed in TRUSTED_PROXIES."
        ),
    )
    reachable = LinesField(
        label=gettext_lazy("reachable hosts"),
        required=False,
        max_length=5000,
        help_text=gettext_lazy(
            "Hosts and networks outside the public internet from which images may be fetched and to which callbacks "
            "may be sent, one per line: images.example.lan, .example.lan, 10.1.0.0/16."
        ),
    )
    nsfw_words = LinesField(
        label=gettext_lazy("words of NSFW prompts"),
        required=False,
        max_length=220_000,
        help_text=gettext_lazy(
            "One per line. A prompt with one of them is NSFW for the prompt check of stablediffusionapi.com."
        ),
    )
    cp_words = LinesField(
        label=gettext_lazy("words of child abuse"),
        required=False,
        max_length=220_000,
        help_text=gettext_lazy("One per line. A prompt with one of them is child abuse for the same check."),
    )


class KeyLimitsForm(LimitsForm):
    allowed_models = LinesField(
        label=gettext_lazy("model files"),
        required=False,
        max_length=5000,
        help_text=gettext_lazy(
            "One kind:name per line, e.g. checkpoint:shapes or lora:night*. Of a listed kind, only the listed files "
            "may be used; lora: alone allows none. Kinds that are not listed are unrestricted."
        ),
    )

    def clean_allowed_models(self) -> list[str]:
        patterns = self.cleaned_data["allowed_models"]
        for pattern in patterns:
            if pattern.partition(":")[0] not in KINDS or ":" not in pattern:
                values = {"text": pattern[:100], "kinds": ", ".join(KINDS)}
                raise ValidationError(_("%(text)s must have the form kind:name. Kinds: %(kinds)s.") % values)
        return patterns


class LimitUsageMixin:
    """Read-only fields that show the current usage of a source or a key."""

    @admin.display(description=gettext_lazy("now"))
    def used_now(self, holder: Holder) -> SafeString | str:
        if holder.pk is None:
            return "–"
        running, queued = (_jobs(holder, state) for state in (State.RUNNING, State.QUEUED))
        return _("%(running)d running, %(queued)d queued") % {"running": running, "queued": queued}

    @admin.display(description=gettext_lazy("used today"))
    def used_today(self, holder: Holder) -> SafeString | str:
        return _used(holder, "day")

    @admin.display(description=gettext_lazy("used this month"))
    def used_this_month(self, holder: Holder) -> SafeString | str:
        return _used(holder, "month")

    @admin.display(description=gettext_lazy("used in total"))
    def used_in_all(self, holder: Holder) -> SafeString | str:
        return _used(holder, "total")


def _jobs(holder: Holder, state: State) -> int:
    if isinstance(holder, BusinessSource):
        return slots.taken(holder.pk, state)
    return slots.taken_by_key(holder.source_id, holder.pk, state)


def _used(holder: Holder, period: str) -> SafeString | str:
    if holder.pk is None:
        return "–"
    account = _account(holder).on(timezone.localdate())
    cost = Decimal(getattr(account, f"cost_{period}")) / MICROS
    images = getattr(account, f"images_{period}")
    text = _("%(images)s images, %(cost)s cost units") % {"images": f"{images:,}", "cost": f"{cost:,.2f}"}
    limits = [
        (Decimal(images), _limit(holder, f"images_per_{period}")),
        (cost, _limit(holder, "total_budget" if period == "total" else f"cost_per_{period}")),
    ]
    shares = [float(used / limit) for used, limit in limits if limit]
    if not shares:
        return text
    share = max(shares)
    color = "text-red-600 dark:text-red-400" if share >= 0.9 else ""
    return format_html('{} <strong class="{}">({}%)</strong>', text, color, round(share * 100))


def _limit(holder: Holder, field: str) -> Decimal:
    return Decimal(getattr(holder, field, None) or 0)


def _account(holder: Holder) -> Account:
    if isinstance(holder, BusinessSource):
        (account,) = account_balances.read(holder.pk, None).values()
    else:
        account = account_balances.read(holder.source_id, holder.pk)[owner_of_key(holder.pk)]
    return account
