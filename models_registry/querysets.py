"""What tables of shared things have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from django.db import models

if TYPE_CHECKING:
    from access.models import BusinessSource

M = TypeVar("M", bound=models.Model)


class SharedQuerySet(models.QuerySet[M]):
    """Rows with ``allowed_sources``; one without any is open to all."""

    def allowed_for(self, source: BusinessSource) -> Self:
        # Matches one row of the join at most, so that DISTINCT is not needed.
        return self.filter(models.Q(allowed_sources=None) | models.Q(allowed_sources=source))
