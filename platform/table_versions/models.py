"""A version of each watched table, written by triggers alone."""

from __future__ import annotations

from django.db import models


class TableVersion(models.Model):
    """Random, not counted: a version that was rolled back must never come again for other rows."""

    table = models.CharField(primary_key=True, max_length=63)
    version = models.CharField(max_length=36)

    def __str__(self) -> str:
        return self.table
