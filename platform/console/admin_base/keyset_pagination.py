"""Keyset pagination of admin lists, newest row first. Pages need no COUNT and no OFFSET."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from unfold.views import ChangeList

OLDER, NEWER = "older_than", "newer_than"


@dataclass(frozen=True)
class Cursor:
    """Position in the list: creation time and primary key of a row."""

    at: datetime
    pk: str

    @classmethod
    def of(cls, row: Any) -> Cursor:
        return cls(row.created_at, str(row.pk))

    @classmethod
    def read(cls, text: str, model: type[Model]) -> Cursor:
        at, _space, pk = text.partition("_")
        try:
            model._meta.pk.to_python(pk)
            return cls(datetime.strptime(at, "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC), pk)
        except (ValueError, ValidationError) as error:
            raise IncorrectLookupParameters from error

    def __str__(self) -> str:
        return f"{self.at.astimezone(UTC):%Y%m%dT%H%M%S.%f}_{self.pk}"

    # The first condition is sufficient; the second, redundant one lets the database start at the right index entry.

    @property
    def older(self) -> Q:
        return (Q(created_at__lt=self.at) | Q(created_at=self.at, pk__lt=self.pk)) & Q(
            created_at__lte=self.at
        )

    @property
    def newer(self) -> Q:
        return (Q(created_at__gt=self.at) | Q(created_at=self.at, pk__gt=self.pk)) & Q(
            created_at__gte=self.at
        )


def end_of_window(rows: QuerySet[Any], size: int) -> Cursor | None:
    """The last of the newest ``size`` rows; None if there are no older ones."""
    newest = rows.order_by("-created_at", "-pk").values_list("created_at", "pk")
    last = list(newest[size - 1 : size + 1])
    return Cursor(last[0][0], str(last[0][1])) if len(last) == 2 else None


class KeysetPages(Paginator):
    """Paginator of one page, with the links to the newest, the newer and the older page."""

    template_name = "console/keyset_pages.html"
    newest = newer = older = ""
    searched_until: datetime | None = None  # the page is incomplete: only rows up to here were searched


class KeysetChangeList(ChangeList):
    """Change list for models with ``created_at`` and an index that ends with it for each column that is filtered by."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.older_than, self.newer_than = request.GET.get(OLDER, ""), request.GET.get(NEWER, "")
        super().__init__(request, *args, **kwargs)
        rest = request.GET.copy()
        # The search and filter forms are built from these parameters; a new search starts on the newest page.
        for name in (OLDER, NEWER):
            for params in (rest, self.params, self.filter_params):
                params.pop(name, None)
        request.GET = rest  # type: ignore[assignment]

    def get_filters_params(self, params: dict[str, Any] | None = None) -> dict[str, Any]:
        filter_params: dict[str, Any] = super().get_filters_params(params)
        return {name: value for name, value in filter_params.items() if name not in (OLDER, NEWER)}

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str]:
        return ["-created_at", "-pk"]

    def get_results(self, request: HttpRequest) -> None:
        rows, is_first, is_last = self._rows()
        # With two equal counts, the page does not print a total.
        self.result_list, self.result_count, self.full_result_count = rows, len(rows), len(rows)
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = True
        self.paginator = KeysetPages(rows, self.list_per_page)
        if not is_first:
            self.paginator.newest = self.get_query_string(remove=[OLDER, NEWER])
        if rows and not is_first:
            self.paginator.newer = self._link(NEWER, rows[0])
        if rows and not is_last:
            self.paginator.older = self._link(OLDER, rows[-1])

    def _rows(self) -> tuple[list[Any], bool, bool]:
        """The rows of the page, whether it is the first page, and whether it is the last one."""
        page_size = self.list_per_page
        if self.newer_than:
            newer = self.queryset.filter(Cursor.read(self.newer_than, self.model).newer)
            found = list(newer.order_by("created_at", "pk")[: page_size + 1])
            return found[:page_size][::-1], len(found) <= page_size, False
        rows = self.queryset
        if self.older_than:
            rows = rows.filter(Cursor.read(self.older_than, self.model).older)
        found = list(rows[: page_size + 1])
        return found[:page_size], not self.older_than, len(found) <= page_size

    def _link(self, name: str, row: Any) -> str:
        return self.link_to(name, Cursor.of(row))

    def link_to(self, name: str, cursor: Cursor) -> str:
        """URL of the page that begins after (OLDER) or ends before (NEWER) the cursor, with search and filters."""
        link: str = self.get_query_string({name: str(cursor)}, remove=[OLDER, NEWER])
        return link
