"""The platform's internal business source: samples and previews are billed to it instead of to a tenant."""

from __future__ import annotations

from access.models import BusinessSource

NAME = "console"


def internal_source() -> BusinessSource:
    """The internal source; created on first use."""
    return BusinessSource.objects.get_or_create(name=NAME, defaults={"title": "Console"})[0]
