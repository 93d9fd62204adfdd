"""Which fields, actions and views of the console change something, for every role, with and without a source.

The pages are read from the admin site and compared with the tables below: a new field, action or view fails the test
until somebody decides who may use it. Users of tenants may change almost nothing, whatever their role: limits and
switches of a source protect the other tenants, and belong to operators.
"""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.auth.models import Group, Permission
from django.db import models
from django.http import QueryDict
from django.urls import URLResolver, get_resolver
from django.utils import timezone

from access.models import AccessKey, BusinessSource, CallbackSecret, Membership
from console.admin_base.base import HiddenFromTenants, TenantRestrictions
from console.tenants.roles import ROLES
from models_registry.models import Kind, Lora, ModelFile

pytestmark = pytest.mark.slow

ROLE_NAMES = [role.name for role in ROLES]
EVERYTHING = "everything"  # a group with all permissions

# What a user with memberships may change, at most: no role gives more.
TENANT_FIELDS = {
    "access.accesskey": {"note"},
    "access.businesssource": {"title", "prompt_mode", "prompt_modes", "AccessKey.note"},
}
TENANT_ACTIONS = {
    "access.accesskey": {"rotate", "new_secret", "revoke"},  # of its own keys
    "access.businesssource": {
        "create_key",
        "create_callback_secret",
        "new_key",
        "new_temporary_key",
        "usage",
        "statement",
    },
    "jobs.callback": {"replay"},
    "jobs.job": {"cancel", "retry", "rerun"},
    "models_registry.workflowtemplate": {"check_on_runners"},  # it sees no templates
}
# Columns that a tenant's user with every role can change by posting to any view of its own rows.
TENANT_COLUMNS = {
    BusinessSource: {"title", "prompt_mode", "prompt_modes"},
    AccessKey: {"note", "secret", "enabled", "last_used_at"},  # "enabled": revoked, never enabled again
    CallbackSecret: {"secret", "created_at"},
}

SOURCE_LIMITS = {
    "burst",
    "comfyui_by_pipeline",
    "commercial_models_only",
    "content_producer",
    "content_propagator",
    "cost_per_day",
    "cost_per_month",
    "cp_words",
    "dialects",
    "enabled",
    "expires_at",
    "explicit_label",
    "images_per_day",
    "images_per_month",
    "keep_inputs_days",
    "keep_jobs_days",
    "keep_trained_models_days",
    "keep_pictures_days",
    "keyless_networks",
    "label_corner",
    "label_height",
    "label_opacity",
    "label_text",
    "max_concurrent_jobs",
    "max_height",
    "max_images",
    "max_queued_jobs",
    "max_steps",
    "max_training_images",
    "max_training_steps",
    "max_width",
    "name",
    "networks",
    "nsfw_policy",
    "nsfw_words",
    "prompt_mode",
    "prompt_modes",
    "public_pictures",
    "reachable",
    "requests_per_second",
    "strict",
    "text_model",
    "title",
    "total_budget",
    "trained_file_downloads",
    "trainings_per_month",
    "unlabeled_consent",
    "unlabeled_consent_on",
    "weight",
}
KEY_LIMITS = {
    "allowed_models",
    "burst",
    "cost_per_day",
    "cost_per_month",
    "dialects",
    "enabled",
    "expires_at",
    "images_per_day",
    "images_per_month",
    "manages_models",
    "max_concurrent_jobs",
    "max_height",
    "max_images",
    "max_queued_jobs",
    "max_steps",
    "max_training_images",
    "max_training_steps",
    "max_width",
    "networks",
    "note",
    "requests_per_second",
    "total_budget",
    "trainings_per_month",
}
MODEL_FILE = {
    "aliases",
    "allowed_sources",
    "author",
    "base",
    "commercial_use",
    "cost_multiplier",
    "description",
    "enabled",
    "is_default",
    "licence",
    "name",
    "tags",
    "trigger_words",
    "version_of",
}
CHECKPOINT = MODEL_FILE | {
    "default_clip_skip",
    "default_guidance_scale",
    "default_height",
    "default_negative_prompt",
    "default_sampler",
    "default_scheduler",
    "default_steps",
    "default_width",
    "prediction_type",
    "prompt_prefix",
    "text_encoder_files",
    "vae_file",
    "zero_terminal_snr",
}
STYLE_PRESET = {
    "StylePresetLora.lora",
    "StylePresetLora.name",
    "StylePresetLora.weight",
    "allowed_sources",
    "checkpoint",
    "clip_skip",
    "control_model",
    "control_module",
    "control_optional",
    "control_weight",
    "enabled",
    "guidance_scale",
    "keep_texture",
    "key",
    "long_side",
    "height",
    "max_long_side",
    "max_steps",
    "negative_prompt",
    "prompt",
    "prompt_required",
    "sampler",
    "scheduler",
    "steps",
    "strength",
    "task",
    "title",
    "vae",
    "variant",
    "width",
}
OPERATOR_FIELDS = {
    "jobs.runner": {"enabled", "draining"},
    "models_registry.checkpoint": CHECKPOINT,
    "models_registry.promptstyle": {"allowed_sources", "name", "negative_prompt", "prompt"},
    "models_registry.stylepreset": STYLE_PRESET,
    "models_registry.workflowtemplate": {
        "WorkflowRule.dialect",
        "WorkflowRule.model",
        "WorkflowRule.operation",
        "WorkflowRule.purpose",
        "WorkflowRule.source",
        "WorkflowRule.style",
        "cached_share",
        "cost_factor",
        "cost_frames",
        "cost_max_seconds",
        "cost_megapixels",
        "cost_per_second",
        "cost_steps",
        "enabled",
        "graph",
        "if_asked",
        "name",
        "output",
        "purpose",
        "slots",
        "without_slot",
    },
}
OPERATOR_FIELDS |= {
    f"models_registry.{name}": MODEL_FILE
    for name in (
        "facedetector",
        "facerestorer",
        "matting",
        "nsfwdetector",
        "tagger",
        "textdetector",
        "upscaler",
        "vae",
    )
}
OPERATOR_FIELDS |= {  # kinds without a default
    f"models_registry.{name}": MODEL_FILE - {"is_default"}
    for name in (
        "controlnet",
        "detector",
        "diffusionmodel",
        "textencoder",
        "embedding",
        "lora",
        "modelfile",
        "preprocessor",
    )
}
ADMIN_FIELDS = OPERATOR_FIELDS | {
    "access.accesskey": KEY_LIMITS,
    "access.businesssource": SOURCE_LIMITS | {"AccessKey.note", "AccessKey.enabled", "AccessKey.expires_at"},
    "auth.user": {
        "Membership.source",
        "date_joined",
        "email",
        "first_name",
        "groups",
        "is_active",
        "is_staff",
        "last_login",
        "last_name",
        "password",
        "password1",
        "password2",
        "username",
        "usable_password",
    },
    "django_q.schedule": {"minutes", "next_run", "repeats", "schedule_type"},  # not what is run: that is code
    "jobs.runner": {
        *("enabled", "draining", "name", "url", "backend", "new_token"),
        *("server_scheme", "new_server_secret", "server_ca"),
    },
    "jobs.storagetarget": {
        "allowed_sources",
        "channel",
        "enabled",
        "folder",
        "public_host",
        "storage",
        "visibility",
    },
}
UNBOUND_FIELDS = {
    "viewer": {},
    "finance": {},
    "operator": OPERATOR_FIELDS,
    "admin": ADMIN_FIELDS,
    "tenant": {"access.accesskey": {"note"}},
}


def registered_pages():
    for model in apps.get_models():
        if admin.site.is_registered(model):
            yield model._meta.label_lower, admin.site.get_model_admin(model)


@pytest.fixture(autouse=True)
def everything(db) -> None:
    Group.objects.create(name=EVERYTHING).permissions.set(Permission.objects.all())


@pytest.fixture
def request_of(rf, django_user_model):
    """Request of a new user with a role and memberships: ``request_of("admin", source)``."""

    def request_of(role: str, *sources, method: str = "get"):
        user = django_user_model.objects.create_user(f"{role}-{len(sources)}", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        Membership.objects.bulk_create(Membership(user=user, source=source) for source in sources)
        request = getattr(rf, method)("/")
        request.user = user
        return request

    return request_of


def rows_of(page, own: dict):
    """The rows that the page of a model is tried with: one that exists, if there is one."""
    return [own.get(page.model), None] if own.get(page.model) is not None else [None]


def changeable_fields(page, request, row) -> set[str]:
    """Fields of the page's forms: of the row, of a new row, of the list, and of inlines as ``Model.field``."""
    found: set[str] = set()
    for tab in getattr(page, "tabs", (None,)):
        request.GET = QueryDict("" if tab is None else f"tab={tab.name}")
        found |= fields_of_form(page, request, row)
    return found


def fields_of_form(page, request, row) -> set[str]:
    found: set[str] = set()
    if page.has_change_permission(request, row):
        found |= set(page.get_form(request, row or page.model(), change=True).base_fields)
        found |= set(page.list_editable)
    if page.has_add_permission(request):
        found |= set(page.get_form(request, None, change=False).base_fields)
    if not (page.has_change_permission(request, row) or page.has_add_permission(request)):
        return found
    for inline in page.get_inline_instances(request, row):
        can_write = inline.has_change_permission(request, row) or inline.has_add_permission(request, row)
        if can_write:
            formset = inline.get_formset(request, row)
            fields = set(formset.form.base_fields) - {inline.model._meta.pk.name, formset.fk.name, "DELETE"}
            fields |= (
                {"DELETE"} if inline.can_delete and inline.has_delete_permission(request, row) else set()
            )
            found |= {f"{inline.model.__name__}.{name}" for name in fields}
    return found


def permitted_actions(page, request) -> set[str]:
    """Actions of the list, and buttons of the row's page and of the list (unfold)."""
    listed = {name for name in page.get_actions(request) if name is not None}
    for names in (page.actions_detail, page.actions_list, page.actions_row, page.actions_submit_line):
        buttons = [page.get_unfold_action(name) for name in flatten_fieldsets([(None, {"fields": names})])]
        for button in buttons:
            checks = getattr(button.method, "allowed_permissions", [])
            asked = [getattr(page, f"has_{check}_permission") for check in checks]
            if not asked or any(check(request, "0") for check in asked):
                listed.add(button.action_name.rpartition(f"{page.model._meta.model_name}_")[2])
    return listed


def test_every_page_and_inline_is_restricted_for_tenants():
    for label, page in registered_pages():
        assert isinstance(page, TenantRestrictions | HiddenFromTenants), label
        if not isinstance(page, HiddenFromTenants):
            for inline in page.inlines:
                assert issubclass(inline, TenantRestrictions), inline


@pytest.mark.parametrize("role", [*ROLE_NAMES, EVERYTHING])
def test_user_of_a_tenant_changes_only_listed_fields(request_of, source, key, role):
    request = request_of(role, source)
    own = {BusinessSource: source, AccessKey: key}
    for label, page in registered_pages():
        for row in rows_of(page, own):
            assert changeable_fields(page, request, row) <= TENANT_FIELDS.get(label, set()), label
            assert not page.has_delete_permission(request, row), label
        assert not page.has_add_permission(request), label
        if not isinstance(page, HiddenFromTenants):
            assert permitted_actions(page, request) <= TENANT_ACTIONS.get(label, set()), label


@pytest.mark.parametrize("role", ROLE_NAMES)
def test_user_without_a_tenant_changes_only_the_fields_of_its_role(request_of, source, key, checkpoint, role):
    request = request_of(role)
    own = {BusinessSource: source, AccessKey: key}
    found = {}
    for label, page in registered_pages():
        fields = set().union(*(changeable_fields(page, request, row) for row in rows_of(page, own)))
        if fields := {name for name in fields if not name.endswith(".DELETE")}:
            found[label] = fields
    assert found == UNBOUND_FIELDS[role]


def test_admin_of_a_tenant_may_still_name_its_source_and_keys(request_of, source, key):
    request = request_of("admin", source)
    pages = dict(registered_pages())
    for label, row in (("access.businesssource", source), ("access.accesskey", key)):
        assert changeable_fields(pages[label], request, row) == TENANT_FIELDS[label]


# Forms sent by hand ---------------------------------------------------------------------------------------------------

ASKED = {
    "weight": "999",
    "max_queued_jobs": "100000",
    "max_concurrent_jobs": "1000",
    "max_width": "4096",
    "max_height": "4096",
    "max_steps": "500",
    "max_images": "256",
    "max_training_steps": "20000",
    "max_training_images": "200",
    "trainings_per_month": "999999",
    "images_per_day": "999999",
    "images_per_month": "999999",
    "cost_per_day": "999999",
    "cost_per_month": "999999",
    "total_budget": "999999",
    "requests_per_second": "9999",
    "burst": "9999",
    "dialects": ["native"],
    "networks": "0.0.0.0/0",
    "keyless_networks": "0.0.0.0/0",
    "reachable": "127.0.0.0/8",
    "allowed_models": "lora:*",
    "expires_at_0": "2099-01-01",
    "expires_at_1": "00:00",
    "public_pictures": "on",
    "trained_file_downloads": "on",
    "strict": "on",
    "comfyui_by_pipeline": "on",
    "nsfw_policy": "refuse",
    "prompt_mode": "expand",
    "prompt_modes": "native: translate",
    "keep_pictures_days": "3650",
    "keep_inputs_days": "3650",
    "keep_jobs_days": "3650",
    "keep_trained_models_days": "3650",
    "enabled": "on",
    "name": "mine",
    "title": "Mine",
    "note": "mine",
    "session_token": "mine",
    "source": "2",
    "post": "yes",
    "minutes": "60",
}


@pytest.fixture
def limited(source, other_source) -> tuple[BusinessSource, AccessKey]:
    """A disabled source with a disabled, expired key, each with limits."""
    limits = {
        "requests_per_second": 1,
        "burst": 1,
        "images_per_day": 1,
        "images_per_month": 1,
        "cost_per_day": 1,
        "cost_per_month": 1,
        "total_budget": 1,
        "dialects": ["a1111"],
        "networks": ["10.0.0.0/8"],
        "expires_at": timezone.now(),
        "enabled": False,
        "max_steps": 1,
        "max_width": 64,
    }
    key, _secret = AccessKey.issue(source, **limits)
    BusinessSource.objects.filter(pk=source.pk).update(**limits)
    source.refresh_from_db()
    return source, key


def columns(row: models.Model) -> dict[str, object]:
    return type(row).objects.values().get(pk=row.pk)


def changed_columns(before: dict[models.Model, dict[str, object]]) -> dict[type[models.Model], set[str]]:
    changed: dict[type[models.Model], set[str]] = {}
    for row, old in before.items():
        new = columns(row)
        changed.setdefault(type(row), set()).update(name for name in old if old[name] != new[name])
    return changed


def forms_of(key: AccessKey) -> dict[str, object]:
    """Every field of the pages, and the inline of the keys with each of its fields."""
    inline = {"TOTAL_FORMS": "1", "INITIAL_FORMS": "1", "0-id": key.pk, "0-source": key.source_id}
    inline |= {f"0-{name}": value for name, value in ASKED.items() if name != "source"}
    return ASKED | {f"keys-{name}": value for name, value in inline.items()}


@pytest.mark.parametrize("role", [*ROLE_NAMES, EVERYTHING])
def test_posted_forms_change_no_limits_of_the_own_source(sign_in, limited, role):
    source, key = limited
    before = {row: columns(row) for row in limited}
    client = sign_in(role, source)
    for address in [*tabs_of(source), f"/admin/access/accesskey/{key.pk}/change/"]:
        client.post(address, forms_of(key))
        client.post(address, {**forms_of(key), "keys-0-DELETE": "on"})
    for address in (f"businesssource/{source.pk}", f"accesskey/{key.pk}"):
        client.post(f"/admin/access/{address}/delete/", {"post": "yes"})
    for model, names in changed_columns(before).items():
        assert names <= {"title", "note", "prompt_mode", "prompt_modes"}, model


def test_admin_of_a_tenant_saves_its_pages(sign_in, limited):
    """The read-only fields do not keep the form from being saved."""
    source, key = limited
    client = sign_in("admin", source)
    for address in [*tabs_of(source), f"/admin/access/accesskey/{key.pk}/change/"]:
        assert client.post(address, forms_of(key)).status_code == 302, address
    assert BusinessSource.objects.get(pk=source.pk).title == "Mine"
    assert AccessKey.objects.get(pk=key.pk).note == "mine"


def tabs_of(source: BusinessSource) -> list[str]:
    """URLs of all tabs of the source's page."""
    page = admin.site.get_model_admin(BusinessSource)
    return [page.tab_url(source, tab) for tab in page.tabs]


def is_copy(model: type[models.Model]) -> bool:
    """Whether the page of this kind of model files has the code of another's."""
    return bool(getattr(model, "KIND", "")) and model is not Lora


def own_views(source: BusinessSource, key: AccessKey, checkpoint: ModelFile) -> list[str]:
    """URLs of every view of the console, with the primary keys of own rows."""
    copies = {page.model._meta.model_name for _label, page in registered_pages() if is_copy(page.model)}
    rows = {"businesssource": source.pk, "accesskey": key.pk}
    found = []

    def walk(resolver, prefix: str) -> None:
        for pattern in resolver.url_patterns:
            route = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                walk(pattern, route)
            elif route.startswith("admin/") and "(?P" not in route and not route.endswith("logout/"):
                model = [*route.split("/"), "", ""][2]
                if model in copies:
                    continue
                pk = str(rows.get(model, checkpoint.pk))
                uuid = "00000000-0000-0000-0000-000000000000"
                route = re.sub(r"<uuid:\w+>", uuid, route).replace("<slug:what>", "resume")
                found.append("/" + re.sub(r"<[^>]+>", pk, route))

    walk(get_resolver(), "")
    return found


def test_no_view_changes_limits_of_the_own_source(sign_in, limited, checkpoint):
    """Every URL of the console, and every action of every list, with all permissions and a form that has every field."""
    source, key = limited
    CallbackSecret.issue(source)
    lora = ModelFile.objects.create(kind=Kind.LORA, name="night", path="loras/night.safetensors")
    before = {row: columns(row) for row in (*limited, checkpoint, lora, source.callback_secret)}
    client = sign_in(EVERYTHING, source)
    for address in [*own_views(source, key, checkpoint), *tabs_of(source)]:
        client.post(address, forms_of(key))
    for label, page in registered_pages():
        if is_copy(page.model):
            continue
        row = {BusinessSource: source, AccessKey: key}.get(page.model, checkpoint)
        for action in (*(getattr(one, "__name__", one) for one in page.actions or ()), "delete_selected"):
            form = {"action": action, "_selected_action": [row.pk], **ASKED}
            client.post(f"/admin/{label.replace('.', '/')}/", form)
    for model, names in changed_columns(before).items():
        assert names <= TENANT_COLUMNS.get(model, set()), model
    assert not AccessKey.objects.filter(pk=key.pk, enabled=True).exists()
