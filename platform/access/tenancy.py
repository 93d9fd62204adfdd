"""Whose rows a user of the console may see."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q, QuerySet

from access.models import BusinessSource

TENANT = "tenant"  # the role: whoever has it sees no stranger's rows, even before it is a member anywhere


def visible_sources(user: AbstractBaseUser | AnonymousUser) -> QuerySet[BusinessSource] | None:
    """None: all of them. A superuser is nobody's tenant."""
    if user.pk is None:
        return BusinessSource.objects.none()
    if getattr(user, "is_superuser", False):
        return None
    restricted = Q(memberships__isnull=False) | Q(groups__name=TENANT)
    if not get_user_model().objects.filter(restricted, pk=user.pk).exists():
        return None
    return BusinessSource.objects.filter(memberships__user=user.pk)
