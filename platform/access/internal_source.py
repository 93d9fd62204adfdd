"""The platform's own source: what the console draws for itself is on no tenant's account."""

from __future__ import annotations

from access.models import BusinessSource

NAME = "console"


def house_source() -> BusinessSource:
    return BusinessSource.objects.get_or_create(name=NAME, defaults={"title": "Console"})[0]
