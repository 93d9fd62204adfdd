"""Admin of business sources, access keys and the ledger. A secret is shown once, on the page that creates it."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables
from unfold.decorators import display

from access.models import AccessKey, BusinessSource, CallbackSecret, Posting
from console.admin_base.base import ConsoleAdmin, ReadOnly, TenantRestrictions
from console.admin_base.fields import LabeledInline
from console.admin_base.tabs import Tab, TabbedAdmin

from .keys import REQUESTS, KeyActionsMixin, KeyCreationMixin
from .labels import LABELS, sample_url
from .limits import QUOTAS, RATE_LIMITS, SIZE_LIMITS, USAGE, KeyLimitsForm, LimitUsageMixin, SourceForm
from .overview import overview
from .prompt_modes import PROMPTS
from .statements import StatementMixin
from .usage_charts import UsageMixin


@sensitive_variables("secrets")
def _show_once(request: HttpRequest, secrets: list[tuple[BusinessSource, str, str]]) -> TemplateResponse:
    """Page with new secrets: rows of source, purpose and secret."""
    context = {**admin.site.each_context(request), "title": _("New secrets"), "secrets": secrets}
    # Not a Django message, because those may be stored in a cookie. The admin marks its pages as not cacheable.
    return TemplateResponse(request, "admin/access/secrets.html", context)


class KeyInline(TenantRestrictions, LabeledInline):
    model = AccessKey
    tenant_fields = ("note",)
    fields = ["key_link", "note", "enabled", "expires_at", "last_used_at"]
    readonly_fields = ["key_link", "last_used_at"]
    extra = 0
    hide_title = True

    @display(description=_("key id"))
    def key_link(self, key: AccessKey) -> SafeString:
        url = reverse("admin:access_accesskey_change", args=[key.pk])
        return format_html('<a class="text-link" href="{}">{}</a>', url, key.key_id)

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False  # keys are created by an action, which can show the secret

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccessKey]:
        return super().get_queryset(request).defer("secret", "session_token")


OVERVIEW = Tab(
    "overview", _("Overview"), [(_("Source"), {"fields": [("name", "title"), ("enabled", "weight")]})]
)
IMAGES = Tab("images", _("Images"), [(_("Images"), {"fields": ["nsfw_policy", "public_pictures"]}), LABELS])
ACCESS = {"fields": ["dialects", "networks", "keyless_networks", "reachable", "expires_at"]}
MODELS = {"fields": ["commercial_models_only", "trained_file_downloads"]}
RETENTION = {
    "fields": ["keep_pictures_days", "keep_inputs_days", "keep_jobs_days", "keep_trained_models_days"]
}


@admin.register(BusinessSource)
class BusinessSourceAdmin(LimitUsageMixin, KeyCreationMixin, UsageMixin, StatementMixin, TabbedAdmin):
    source_path = "pk"
    # The other fields limit what the source takes from other tenants.
    tenant_fields = ("title", "prompt_mode", "prompt_modes")
    form = SourceForm
    add_fieldsets = [(None, {"fields": ["name", "title"]})]
    tabs = (
        OVERVIEW,
        Tab("keys", _("Keys"), inlines=(KeyInline,)),
        Tab("quotas", _("Quotas"), [QUOTAS]),
        Tab("rate-limits", _("Rate limits"), [RATE_LIMITS]),
        Tab("size-limits", _("Size limits"), [SIZE_LIMITS]),
        Tab("access", _("Access"), [(_("Access"), ACCESS), (_("Models"), MODELS)]),
        IMAGES,
        Tab(
            "requests",
            _("Requests"),
            [
                (_("Request handling"), {"fields": ["strict", "comfyui_by_pipeline"]}),
                PROMPTS,
                (_("Word lists"), {"fields": ["nsfw_words", "cp_words"]}),
            ],
        ),
        Tab("retention", _("Retention"), [(_("Retention"), RETENTION)]),
    )
    readonly_fields = USAGE
    change_form_outer_after_template = "admin/access/label_sample.html"
    list_display = [
        "name",
        "title",
        "enabled",
        "weight",
        "max_concurrent_jobs",
        "max_queued_jobs",
        "nsfw_policy",
        "created_at",
    ]
    list_filter = ["enabled", "nsfw_policy", "strict"]
    search_fields = ["name", "title"]
    actions = ["create_key", "create_callback_secret"]
    actions_detail = ["new_key", "new_temporary_key", "usage", "statement"]

    def tab_context(self, request: HttpRequest, obj: BusinessSource, tab: Tab) -> dict[str, Any]:
        if tab == OVERVIEW:
            return overview(request, obj)
        return {"label_sample": sample_url(obj)} if tab == IMAGES else {}

    @admin.action(description=_("Create an access key for the selected sources"), permissions=["issue"])
    def create_key(self, request: HttpRequest, sources: QuerySet[BusinessSource]) -> TemplateResponse:
        issued = [AccessKey.issue(source) for source in sources]
        for key, _secret in issued:
            self.log_addition(request, key, "issued")
        return _show_once(request, [(key.source, key.key_id, secret) for key, secret in issued])

    @admin.action(description=_("Issue new callback secrets for the selected sources"), permissions=["issue"])
    def create_callback_secret(
        self, request: HttpRequest, sources: QuerySet[BusinessSource]
    ) -> TemplateResponse:
        issued = [(source, "X-Atelier-Signature", CallbackSecret.issue(source)) for source in sources]
        for source, _purpose, _secret in issued:
            self.log_change(request, source, "callback secret issued")
        return _show_once(request, issued)


KEY = [
    (None, {"fields": [("key_id", "source"), ("note", "enabled"), ("created_at", "last_used_at")]}),
    QUOTAS,
    RATE_LIMITS,
    SIZE_LIMITS,
    (_("Access"), {"fields": ["manages_models", "allowed_models", "dialects", "networks", "expires_at"]}),
]


@admin.register(AccessKey)
class AccessKeyAdmin(LimitUsageMixin, KeyActionsMixin):
    source_path = "source"
    tenant_fields = ("note",)
    form = KeyLimitsForm
    list_display = [
        "key_id",
        "source",
        "note",
        "enabled",
        "manages_models",
        "expires_at",
        "last_used_at",
        "created_at",
    ]
    list_filter = ["enabled", "manages_models", "source"]
    list_select_related = ["source"]
    search_fields = ["key_id", "note", "source__name"]
    tabs = (Tab("key", _("Key"), KEY), REQUESTS)
    readonly_fields = ("key_id", "source", "created_at", "last_used_at", *USAGE)
    actions = ["rotate"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccessKey]:
        return super().get_queryset(request).defer("secret")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # keys are created on the source's page, which can show the secret

    @admin.action(description=_("Rotate the secrets of the selected keys"), permissions=["change"])
    def rotate(self, request: HttpRequest, keys: QuerySet[AccessKey]) -> TemplateResponse:
        rotated = [(key, key.rotate()) for key in keys]
        for key, _secret in rotated:
            self.log_change(request, key, "rotated")
        return _show_once(request, [(key.source, key.key_id, secret) for key, secret in rotated])


@admin.register(Posting)
class PostingAdmin(ReadOnly, ConsoleAdmin):
    source_path = "source"
    list_display = ["created_at", "source", "kind", "amount", "images", "day", "dialect", "model", "of_job"]
    list_filter = ["kind", "source"]
    list_select_related = ["source"]
    search_fields = ["job_id"]  # enables the search box; get_search_results below implements the search
    search_help_text = _("Full job id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Posting], search_term: str
    ) -> tuple[QuerySet[Posting], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            return queryset.filter(job_id=uuid.UUID(term)), False
        except ValueError:
            return queryset.none(), False

    @display(description=_("job"))
    def of_job(self, posting: Posting) -> SafeString:
        # The job may have been deleted; its page then says that it does not exist.
        url = reverse("admin:jobs_job_change", args=[posting.job_id])
        return format_html('<a class="text-link" href="{}">{}</a>', url, str(posting.job_id)[:8])
