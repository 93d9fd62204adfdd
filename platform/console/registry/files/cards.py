"""Lists of model files as cards or as a table, with the files that need attention first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.contrib.admin import ModelAdmin
from django.db.models import Case, Exists, F, IntegerField, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce, NullIf
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _

from access.tenancy import is_tenant
from console.admin_base.base import ConsoleAdmin
from console.admin_base.choice_filters import Choice, ChoiceFilter
from jobs.models import Runner
from models_registry.models import ModelFile

from .covers import cover_urls
from .remedies import remedy

CARDS, TABLE = "cards", "table"
SESSION_KEY = "models_view"
PARAMETER = "view"
MAX_TAG_CHOICES = 100

_ON_A_RUNNER = Exists(Runner.objects.filter(own_files=OuterRef("pk")))
PROBLEMS_FIRST = Case(
    When(enabled=True, problem__gt="", then=0),
    When(Q(enabled=True, missing_since__isnull=False) & ~_ON_A_RUNNER, then=0),
    default=1,
    output_field=IntegerField(),
)
# Versions of one model stand together.
MODEL = Coalesce(NullIf(F("version_of"), Value("")), F("name"))


class TagFilter(ChoiceFilter):
    """Files with a tag."""

    title, parameter_name = _("tag"), "tag"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[Choice]:
        tags = Counter(tag for row in _tags(model_admin.get_queryset(request)).values() for tag in row)
        return [(tag, tag) for tag in sorted(tag for tag, _count in tags.most_common(MAX_TAG_CHOICES))]

    def filter_rows(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        return rows.filter(pk__in=[pk for pk, tags in _tags(rows).items() if value in tags])


def _tags(rows: QuerySet[Any]) -> dict[int, list[str]]:
    # The registry holds hundreds of files, and not every database can search in a list of JSON.
    return dict(rows.order_by().exclude(tags=[]).values_list("pk", "tags"))


class CardsMixin(ConsoleAdmin):
    ordering = [PROBLEMS_FIRST, "kind", MODEL, "name"]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if PARAMETER in request.GET:
            query = request.GET.copy()
            if (view := query.pop(PARAMETER)[-1]) in (CARDS, TABLE):
                request.session[SESSION_KEY] = view
            return HttpResponseRedirect(f"{request.path}?{query.urlencode()}" if query else request.path)
        view = request.session.get(SESSION_KEY, CARDS)
        context = {"as_cards": view == CARDS, "views": [(CARDS, _("Cards")), (TABLE, _("Table"))]}
        context |= {"current_view": view, "for_tenant": is_tenant(request.user)}
        return super().changelist_view(request, {**(extra_context or {}), **context})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, may_have_duplicates = super().get_search_results(request, queryset, search_term)
        if wanted := search_term.strip().lower():
            tagged = [
                pk for pk, tags in _tags(queryset).items() if any(wanted in tag.lower() for tag in tags)
            ]
            found |= queryset.filter(pk__in=tagged)
        return found, may_have_duplicates


def prepare_cards(files: Sequence[Any], samples: dict[int, str]) -> None:
    """Give each file what its card shows: ``cover_url``, ``remedy``, ``needs_attention`` and ``versions``."""
    covers = cover_urls(list(files), samples)
    counts = _versions(files)
    for file in files:
        file.cover_url = covers.get(file.pk, "")
        file.remedy = remedy(file) if file.needs_attention else ""
        file.versions = counts[file.kind, file.version_of] if file.version_of else 0


def _versions(files: Sequence[ModelFile]) -> Counter[tuple[str, str]]:
    names = {file.version_of for file in files if file.version_of}
    rows = ModelFile.objects.filter(version_of__in=names).values_list("kind", "version_of")
    return Counter(rows)
