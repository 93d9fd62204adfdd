"""List filter by business source, restricted to the sources of the user."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import RelatedFieldListFilter
from django.http import HttpRequest

from access.tenancy import visible_sources


class SourceFilter(RelatedFieldListFilter):
    """Business sources that the user may see."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        sources = visible_sources(request.user)
        limit = {} if sources is None else {"pk__in": sources}
        ordering = self.field_admin_ordering(field, request, model_admin)
        return field.get_choices(include_blank=False, ordering=ordering, limit_choices_to=limit)
