"""Queryset of tables that tenants share: rows may be restricted to certain business sources."""

from __future__ import annotations

from typing import Self, TypeVar

from django.db import models

from access.models import BusinessSource

M = TypeVar("M", bound=models.Model)


class SharedQuerySet(models.QuerySet[M]):
    """Rows with ``allowed_sources``. A row without any is open to all sources."""

    def allowed_for(self, source: BusinessSource) -> Self:
        """Rows that the source may use."""
        # One row of the join matches at most, so that DISTINCT is not needed.
        return self.filter(models.Q(allowed_sources=None) | models.Q(allowed_sources=source))
