"""Playground: generates images in the browser. The page is a form; its script is a client of the native API."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from access.source_settings.prompt_modes import PromptMode
from console.admin_base.last_source import first_source
from jobs.api_reference.examples.languages import LANGUAGES
from jobs.text_model import client as text_model
from models_registry.models import WorkflowTemplate
from models_registry.models.workflow_templates import OutputType

from .sources import usable_sources
from .texts import axes, texts


def page(request: HttpRequest) -> HttpResponse:
    sources = usable_sources(request)
    context = {
        **admin.site.each_context(request),
        "title": _("Playground"),
        "prompt_modes": PromptMode.choices if text_model.is_configured() else [],
        "sources": sources,
        "first_source": first_source(request, sources),
        "languages": LANGUAGES,
        "texts": texts(),
        "axes": axes(),
        "has_videos": WorkflowTemplate.objects.filter(enabled=True, output=OutputType.VIDEO).exists(),
    }
    return render(request, "admin/playground/page.html", context)
