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
    return BusinessSource.objects.filter(memberships__user=user.pk) if is_tenant(user) else None


def is_tenant(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Asked of the database once for each request: that is how long a user object lives."""
    if user.pk is None:
        return True
    if getattr(user, "is_superuser", False):
        return False
    known = vars(user)
    if "_is_tenant" not in known:
        restricted = Q(memberships__isnull=False) | Q(groups__name=TENANT)
        known["_is_tenant"] = get_user_model().objects.filter(restricted, pk=user.pk).exists()
    return bool(known["_is_tenant"])
