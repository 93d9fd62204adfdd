"""Tenant isolation in the console: which business sources a user may see."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q, QuerySet

from access.models import BusinessSource

TENANT = "tenant"  # name of the role; its users see nothing until they have a membership


def visible_sources(user: AbstractBaseUser | AnonymousUser) -> QuerySet[BusinessSource] | None:
    """Business sources that the user may see; None means all of them. Superusers see all."""
    if user.pk is None:
        return BusinessSource.objects.none()
    return BusinessSource.objects.filter(memberships__user=user.pk) if is_tenant(user) else None


def is_tenant(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether the user is restricted to its own sources. Anonymous users are, superusers are not.

    The result is cached on the user object, which lives as long as the request.
    """
    if user.pk is None:
        return True
    if getattr(user, "is_superuser", False):
        return False
    attributes = vars(user)
    if "_is_tenant" not in attributes:
        restricted = Q(memberships__isnull=False) | Q(groups__name=TENANT)
        attributes["_is_tenant"] = get_user_model().objects.filter(restricted, pk=user.pk).exists()
    return bool(attributes["_is_tenant"])
