"""Playground: generates images in the browser. The page is a form; its script is a client of the native API."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from access.models import BusinessSource
from access.prompt_modes import PromptMode
from access.tenancy import visible_sources
from console.roles import SUBMIT_JOBS
from jobs.text_model import client as text_model


def page(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm(SUBMIT_JOBS):
        raise PermissionDenied
    sources = visible_sources(request.user)
    sources = BusinessSource.objects.all() if sources is None else sources
    context = {
        **admin.site.each_context(request),
        "title": _("Playground"),
        "prompt_modes": PromptMode.choices if text_model.is_configured() else [],
        "sources": sources.filter(enabled=True).order_by("name"),
    }
    return render(request, "admin/playground.html", context)
