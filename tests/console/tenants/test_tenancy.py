"""Tenant isolation of the whole console: every URL is requested by one tenant for the rows of another.

The URLs are read from the URL configuration, so that new pages are tested without being listed here. A URL with an
unknown parameter fails the test until the parameter is added.
"""

import re
from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.files.base import ContentFile
from django.db.models import Model
from django.urls import URLResolver, get_resolver
from django.utils import timezone
from django_q.models import Schedule, Task

from access.models import AccessKey, BusinessSource, Posting
from console.models import AuditEntry
from console.tenants.roles import ROLES
from jobs.admission.admit import admit
from jobs.images import input_usage, storage
from jobs.models import (
    ArchivedJob,
    Job,
    ModelIntake,
    Output,
    Preview,
    Runner,
    State,
    StorageTarget,
    UnlabeledImages,
)
from jobs.models.callback import Callback
from jobs.models.training import Training
from models_registry.models import Kind, ModelFile, PromptStyle, StylePreset, WorkflowTemplate
from tests.support.fake_runner import png

pytestmark = pytest.mark.slow

MARK = "zzforeign"
ALLOWED_STATUSES = {200, 204, 302, 400, 403, 404, 405, 422}
ACTIONS = ("cancel", "finish", "retry", "rerun", "replay", "drain", "unload")
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
NOT_PAGES = {"login", "logout", "jsi18n", "password_change", "password_change_done", "view_on_site"}


@pytest.fixture
def foreign(submission, workflow_templates, django_user_model):
    """For each model with an admin page, a row of another tenant or without tenant. All of them contain MARK."""
    source = BusinessSource.objects.create(name=MARK, title=f"{MARK} title")
    key, _secret = AccessKey.issue(source, note=MARK)
    callback = {"external_id": f"{MARK}-1", "operation": MARK, "received": {"parameters": {}, "note": MARK}}
    job = admit(submission(source=source, key=key, prompt=MARK, **callback))
    now = timezone.now()
    Job.objects.filter(pk=job.pk).update(
        state=State.FAILED, error_code=MARK, error_message=MARK, started_at=now, finished_at=now
    )
    output = Output(
        job=job, index=0, sha256="0" * 64, size_bytes=1, width=64, height=64, seed=7, infotext=MARK
    )
    output.file.save(f"outputs/{MARK}.png", ContentFile(png()))
    Preview.objects.create(job=job, jpeg=MARK.encode())
    Training.objects.create(job=job, name=MARK, description=MARK)
    input_usage.remember(job, [storage.store_input(png()).sha256])
    kinds = [kind for kind in Kind if kind != Kind.UNKNOWN]
    files = {
        kind: ModelFile.objects.create(kind=kind, name=f"{MARK}-{kind}", path=f"{MARK}/{kind}")
        for kind in kinds
    }
    for file in files.values():
        file.allowed_sources.add(source)
    preset = StylePreset.objects.create(key=MARK, title=MARK, checkpoint=files[Kind.CHECKPOINT])
    style = PromptStyle.objects.create(name=MARK, prompt=MARK)
    target = StorageTarget.objects.create(channel=MARK)
    for shared in (preset, style, target):
        shared.allowed_sources.add(source)
    template = WorkflowTemplate.objects.first()
    WorkflowTemplate.objects.filter(pk=template.pk).update(name=MARK)
    rows = {
        "access.businesssource": source,
        "access.accesskey": key,
        "access.posting": Posting.objects.filter(source=source).first(),
        "jobs.job": job,
        "jobs.callback": Callback.objects.create(job=job, dialect="native", url=f"http://{MARK}/", body=MARK),
        "jobs.archivedjob": ArchivedJob.objects.create(
            source=source, external_id=MARK, state="failed", created_at=now, finished_at=now, dialect=MARK
        ),
        "jobs.unlabeledimages": UnlabeledImages.objects.create(
            job_id=job.pk, source=source, key_id=MARK, end_user=MARK, images=1, consent=MARK, dialect=MARK
        ),
        "jobs.modelintake": ModelIntake.objects.create(
            source=source, requested_by=MARK, dialect="native", url=f"http://{MARK}/", name=MARK, error=MARK
        ),
        "jobs.runner": Runner.objects.create(name=MARK, url="http://127.0.0.1:9", loaded=[MARK]),
        "jobs.storagetarget": target,
        "models_registry.promptstyle": style,
        "models_registry.stylepreset": preset,
        "models_registry.workflowtemplate": template,
        "models_registry.modelfile": files[Kind.CHECKPOINT],
        "console.auditentry": AuditEntry.objects.create(kind="look", username=MARK, detail=MARK),
        "auth.user": django_user_model.objects.create_user(MARK),
        "auth.group": None,  # roles are not tenant data
        "django_q.schedule": Schedule.objects.create(name=MARK, func=MARK, next_run=now + timedelta(days=9)),
        "django_q.success": Task.objects.create(
            id=MARK, name=MARK, func=MARK, started=now, stopped=now, success=True
        ),
        "django_q.failure": None,
        "django_q.ormq": None,
    }
    for model in registered_models():
        if kind := getattr(model, "KIND", ""):
            rows[model._meta.label_lower] = files[kind]
    return rows


def registered_models() -> list[type[Model]]:
    return [model for model in apps.get_models() if admin.site.is_registered(model)]


def patterns(resolver, prefix=""):
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern, prefix + str(pattern.pattern))
        else:
            yield prefix + str(pattern.pattern), pattern.name or ""


def pages() -> list[tuple[str, str]]:
    found = [(route, name) for route, name in patterns(get_resolver()) if route.startswith("admin/")]
    return [(route, name) for route, name in found if "(?P" not in route and name not in NOT_PAGES]


def addresses(route: str, foreign) -> list[str]:
    """URLs of the route, with the primary keys of the foreign rows as parameters."""
    app, model = [*route.split("/"), "", ""][1:3]
    row = foreign.get(f"{app}.{model}")
    job = foreign["jobs.job"]
    known = {"object_id": row and row.pk, "file_id": row and row.pk, "runner_id": row and row.pk}
    known |= {"id": row and row.pk, "job_id": job.pk, "other_id": job.pk, "index": 0}
    known["sha256"] = job.inputs.get().sha256
    known |= {"dialect": "native", "training_id": job.training.pk, "template_id": row and row.pk}
    names = PARAMETER.findall(route)
    assert set(names) <= {*known, "what"}, f"{route}: unknown parameter, add it to known"
    filled = PARAMETER.sub(
        lambda match: f"{{{match[1]}}}" if match[1] == "what" else str(known[match[1]]), route
    )
    return [f"/{filled.format(what=what)}" for what in (ACTIONS if "what" in names else ACTIONS[:1])]


def snapshot() -> dict[str, list]:
    """All rows except the audit trail and the users."""
    models = [
        model for model in registered_models() if model is not AuditEntry and model._meta.app_label != "auth"
    ]
    return {model._meta.label: sorted(map(repr, model._base_manager.values())) for model in models}


def assert_hides_foreign_data(response, request_label) -> None:
    assert response.status_code in ALLOWED_STATUSES, (request_label, response.status_code)
    body = b"".join(response.streaming_content) if response.streaming else response.content
    # The search term may be repeated in the search field and in links.
    text = body.decode(errors="replace").replace(f'value="{MARK}"', "").replace(f"q={MARK}", "")
    assert MARK not in text, request_label
    is_image = response.headers.get("Content-Type", "").partition("/")[0] == "image"
    assert not is_image or "/labels/sample/" in request_label, request_label  # a drawn scene


@pytest.fixture(params=["tenant", "admin"])
def tenant(request, sign_in, source):
    """Client of a user of a tenant, with the tenant role and with the admin role."""
    client = sign_in(request.param, source)
    client.raise_request_exception = False
    return client


def test_pages_show_no_foreign_rows(tenant, foreign):
    for route, _name in pages():
        for address in addresses(route, foreign):
            assert_hides_foreign_data(tenant.get(address), address)


def test_posts_change_no_foreign_rows(tenant, foreign):
    before = snapshot()
    for route, name in pages():
        if name.endswith(("_changelist", "playground")) or name in {"index", "search"}:
            continue
        for address in addresses(route, foreign):
            assert_hides_foreign_data(tenant.post(address, {"post": "yes", "prompt": "a"}), address)
    assert snapshot() == before


def test_search_and_filters_find_no_foreign_rows(tenant, foreign):
    source = foreign["access.businesssource"]
    queries = (
        {"q": MARK},
        {"source": source.pk},
        {"source__id__exact": source.pk},
        {"job__source__id__exact": source.pk},
    )
    queries += (
        {"allowed_sources__id__exact": source.pk},
        {"source__name": MARK},
        {"q": str(foreign["jobs.job"].pk)},
    )
    for route, name in pages():
        if name.endswith("_changelist"):
            for query in queries:
                assert_hides_foreign_data(tenant.get(f"/{route}", query), (route, query))


def test_list_actions_change_no_foreign_rows(tenant, foreign, rf):
    before = snapshot()
    for model in registered_models():
        page = admin.site.get_model_admin(model)
        row = foreign.get(model._meta.label_lower)
        if row is None:
            continue
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        for action in [*(getattr(each, "__name__", each) for each in page.actions or ()), "delete_selected"]:
            form = {"action": action, "_selected_action": [row.pk], "post": "yes"}
            assert_hides_foreign_data(tenant.post(address, form), (address, action))
    assert snapshot() == before


def test_autocomplete_offers_no_foreign_rows(tenant, foreign):
    for model in registered_models():
        for field in model._meta.get_fields():
            if field.is_relation and field.concrete:
                query = {"app_label": model._meta.app_label, "model_name": model._meta.model_name}
                query |= {"field_name": field.name, "term": "zz"}
                assert_hides_foreign_data(tenant.get("/admin/autocomplete/", query), query)


def test_global_search_finds_no_foreign_rows(tenant, foreign):
    assert_hides_foreign_data(tenant.get("/admin/search/", {"s": MARK[:4], "extended": "1"}), "search")


def test_superuser_sees_the_marked_rows(ops, foreign):
    """Without this, the tests above would also pass on empty tables."""
    for label, row in foreign.items():
        if row is not None:
            page = ops.get(f"/admin/{label.replace('.', '/')}/{row.pk}/change/")
            assert MARK in page.content.decode(), label


@pytest.mark.parametrize("role", [role.name for role in ROLES])
def test_role_opens_only_the_lists_that_it_may_view(sign_in, source, role):
    [definition] = [each for each in ROLES if each.name == role]
    client = sign_in(role, *([source] if role == "tenant" else []))
    for model in registered_models():
        app, name = model._meta.app_label, model._meta.model_name
        expected = 200 if definition.has(f"{app}.view_{name}") else 403
        assert client.get(f"/admin/{app}/{name}/").status_code == expected, name


def test_admin_of_a_tenant_cannot_create_users_or_change_shared_rows(sign_in, source, checkpoint):
    client = sign_in("admin", source)
    shared = f"/admin/models_registry/checkpoint/{checkpoint.pk}/change/"
    for page in ("/admin/auth/user/add/", "/admin/auth/user/", "/admin/jobs/runner/add/"):
        assert client.get(page).status_code == 403, page
    assert client.get(shared).status_code == 200
    assert client.post(shared, {"name": "mine"}).status_code == 403
    assert client.post("/admin/access/businesssource/add/", {"name": "another"}).status_code == 403


def test_tenant_sees_a_model_without_its_path(sign_in, source, checkpoint):
    page = sign_in("tenant", source).get(f"/admin/models_registry/checkpoint/{checkpoint.pk}/change/")
    assert "shapes" in page.content.decode()
    assert checkpoint.path not in page.content.decode()
