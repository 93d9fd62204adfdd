"""Search of the side bar: pages, model files, jobs, business sources and access keys that the user may see.

Replaces the theme's search, which finds pages only.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from access.models import AccessKey, BusinessSource
from console.navigation import navigation
from jobs import selectors
from jobs.models import ArchivedJob, Job
from models_registry.models import ModelFile

MAX_TERM = 200
MAX_EACH = 8  # results of one kind


class Result(NamedTuple):
    title: str
    description: str
    link: str


def search(request: HttpRequest) -> HttpResponse:
    term = request.GET.get("s", "").replace("\0", "").strip()[:MAX_TERM]
    results = [result for find in FINDERS for result in islice(find(request, term), MAX_EACH)] if term else []
    return render(request, "unfold/helpers/search_results.html", {"results": results, "term": term})


def _pages(request: HttpRequest, term: str) -> Iterator[Result]:
    wanted = term.lower()
    for group in navigation(request):
        for item in group["items"]:
            may_see = item.get("permission", lambda _request: True)(request)
            if may_see and wanted in str(item["title"]).lower():
                yield Result(str(item["title"]), str(group["title"] or _("Page")), str(item["link"]))


def _rows(request: HttpRequest, model: type[Any]) -> QuerySet[Any]:
    """The rows that the user sees on the model's own page."""
    page = admin.site.get_model_admin(model)
    return page.get_queryset(request) if page.has_view_permission(request) else model._default_manager.none()


def _models(request: HttpRequest, term: str) -> Iterator[Result]:
    wanted = Q(name__icontains=term) | Q(sha256__startswith=term.lower()) | Q(trigger_words__icontains=term)
    for file in _rows(request, ModelFile).filter(wanted).order_by("kind", "name")[:MAX_EACH]:
        yield _result(file, file.name, file.get_kind_display())


def _jobs(request: HttpRequest, term: str) -> Iterator[Result]:
    """Jobs as their list finds them: by id, its beginning, or the client's id."""
    for job in selectors.search(_rows(request, Job), term).order_by()[:MAX_EACH]:
        yield _result(job, str(job.pk), job._meta.verbose_name)
    for job in _archived(request, term):
        yield _result(job, str(job.pk), job._meta.verbose_name)


def _archived(request: HttpRequest, term: str) -> QuerySet[Any]:
    try:
        return _rows(request, ArchivedJob).filter(pk=uuid.UUID(term))
    except ValueError:
        return ArchivedJob.objects.none()


def _sources(request: HttpRequest, term: str) -> Iterator[Result]:
    wanted = Q(name__icontains=term) | Q(title__icontains=term)
    for source in _rows(request, BusinessSource).filter(wanted).order_by("name")[:MAX_EACH]:
        yield _result(source, str(source), source._meta.verbose_name)


def _keys(request: HttpRequest, term: str) -> Iterator[Result]:
    wanted = Q(key_id__startswith=term) | Q(note__icontains=term)
    keys: Iterable[AccessKey] = _rows(request, AccessKey).filter(wanted).select_related("source")
    for key in keys.order_by("key_id")[:MAX_EACH]:  # type: ignore[attr-defined]
        yield _result(key, key.key_id, f"{capfirst(key._meta.verbose_name)} · {key.source}")


def _result(row: Any, title: str, description: Any) -> Result:
    meta = row._meta
    link = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
    return Result(title, capfirst(str(description)), link)


FINDERS: list[Callable[[HttpRequest, str], Iterator[Result]]] = [_pages, _models, _jobs, _sources, _keys]
