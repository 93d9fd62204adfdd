"""Lists of very many rows, by key: the newest first, from there to older and newer ones. Nothing is counted or skipped."""

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
    """A row's place in the list: when it was created, and its id."""

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

    # The first condition of each says it all; the second lets the database start in the right place of its index.

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


class KeysetPages(Paginator):
    """What a page of the console asks of a paginator, and where the pages beside this one begin."""

    template_name = "console/keyset_pages.html"
    newest = newer = older = ""


class KeysetChangeList(ChangeList):
    """For a model whose rows have ``created_at``, with an index on it behind everything that is filtered by."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.older_than, self.newer_than = request.GET.get(OLDER, ""), request.GET.get(NEWER, "")
        super().__init__(request, *args, **kwargs)
        rest = request.GET.copy()
        for name in (
            OLDER,
            NEWER,
        ):  # another filter or search, whose form is made of these, begins with its newest
            for params in (rest, self.params, self.filter_params):
                params.pop(name, None)
        request.GET = rest  # type: ignore[assignment]

    def get_filters_params(self, params: dict[str, Any] | None = None) -> dict[str, Any]:
        wanted: dict[str, Any] = super().get_filters_params(params)
        return {name: value for name, value in wanted.items() if name not in (OLDER, NEWER)}

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str]:
        return ["-created_at", "-pk"]

    def get_results(self, request: HttpRequest) -> None:
        rows, is_first, is_last = self._rows()
        # Two equal counts: of others the page would say that they are all there is.
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
        """One page, and whether it is the first and the last."""
        most = self.list_per_page
        if self.newer_than:
            newer = self.queryset.filter(Cursor.read(self.newer_than, self.model).newer)
            found = list(newer.order_by("created_at", "pk")[: most + 1])
            return found[:most][::-1], len(found) <= most, False
        rows = self.queryset
        if self.older_than:
            rows = rows.filter(Cursor.read(self.older_than, self.model).older)
        found = list(rows[: most + 1])
        return found[:most], not self.older_than, len(found) <= most

    def _link(self, name: str, row: Any) -> str:
        link: str = self.get_query_string({name: str(Cursor.of(row))}, remove=[OLDER, NEWER])
        return link
