"""Whose rows a user of the console may see."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import QuerySet

from access.models import BusinessSource


def visible_sources(user: AbstractBaseUser | AnonymousUser) -> QuerySet[BusinessSource] | None:
    """None: all of them. A superuser is nobody's tenant."""
    if getattr(user, "is_superuser", False):
        return None
    sources = BusinessSource.objects.filter(memberships__user=user.pk)
    return sources if sources.exists() else None
