"""Addresses of the console's pages: those of each model by the admin site itself, the others by name."""

from __future__ import annotations

from tests.browser.preparation import drawn, reproduction_of
from tests.e2e.installation import Installation

# Below /admin/. All kinds of model files have the same pages; those of checkpoints stand for them.
OTHER_PAGES = (
    "",
    "gallery/",
    "gallery/?words=circle",
    "playground/",
    "trainings/",
    "trainings/new/",
    "labels/",
    "apis/native/",
    "apis/a1111/",
    "setup/",
    "password_change/",
    "jobs/job/reproduce/",
    "jobs/job/{reproduction}/change/",
    "jobs/job/{job}/compare/{reproduction}/",
    "jobs/job/{job}/history/",
    "access/businesssource/{source}/new-key/",
    "access/businesssource/{source}/statement/",
    "access/businesssource/{source}/usage/",
    "access/businesssource/{source}/delete/",
    "access/accesskey/{key}/new-secret/",
    "models_registry/checkpoint/?view=table",
    "models_registry/checkpoint/?view=cards",
    "models_registry/checkpoint/bulk/?ids={checkpoint}",
    "models_registry/checkpoint/load/",
    "models_registry/checkpoint/upload/",
    "models_registry/stylepreset/{preset}/try/",
    "models_registry/workflowtemplate/import/",
    "nowhere/",
)
SOURCE_TABS = ("keys", "quotas", "rate-limits", "size-limits", "access", "images", "requests", "retention")
TENANT_PAGES = (
    "",
    "gallery/",
    "jobs/job/",
    "playground/",
    "trainings/",
    "keys/",
    "usage/",
    "models/",
    "apis/native/",
    "apis/volcengine/",
    "nowhere/",
)


def pages_of_models(installation: Installation) -> list[str]:
    """List, form for a new row, and page of the newest row of each model that the console shows."""
    pages: list[str] = installation.python("""
import json
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.urls import reverse
from models_registry.models import ModelFile
request = RequestFactory().get("/admin/")
request.user = User.objects.filter(is_superuser=True).first()
pages = []
for app in admin.site.get_app_list(request):
    for entry in app["models"]:
        model, name = entry["model"], entry["model"]._meta.label_lower.replace(".", "_")
        if model._meta.concrete_model is ModelFile and name != "models_registry_checkpoint":
            continue
        newest = model.objects.order_by("-pk").first()
        change = reverse(f"admin:{name}_change", args=[newest.pk]) if newest else None
        pages += filter(None, [entry["admin_url"], entry["add_url"], change])
print(json.dumps([page.removeprefix("/admin/") for page in pages]))""")
    return pages


def pages_of_an_operator(installation: Installation) -> list[str]:
    job = drawn(installation, width=256, height=256, num_inference_steps=2)
    names = {"job": job, "reproduction": reproduction_of(installation, job)}
    names |= installation.python(f"""
import json
from jobs.models import Job
from models_registry.models import ModelFile, StylePreset
job = Job.objects.get(pk={job!r})
checkpoint = ModelFile.objects.get(kind="checkpoint", is_default=True)
preset = StylePreset.objects.order_by("pk").first()
print(json.dumps({{"source": job.source_id, "key": job.key_id, "checkpoint": checkpoint.pk, "preset": preset.pk}}))""")
    tabs = [f"access/businesssource/{{source}}/change/?tab={tab}" for tab in SOURCE_TABS]
    return [*pages_of_models(installation), *(page.format(**names) for page in (*OTHER_PAGES, *tabs))]
