"""The business source with which pages begin that are about one: the one that the user chose last in this session."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpRequest

from access.internal_source import NAME
from access.models import BusinessSource

SESSION_KEY = "console_source"


def first_source(request: HttpRequest, sources: QuerySet[BusinessSource]) -> BusinessSource | None:
    """Of these sources the one used last in this session, else the console's own, else the first by name."""
    for name in (request.session.get(SESSION_KEY), NAME):
        if name and (found := sources.filter(name=name).first()) is not None:
            return found
    return sources.order_by("name").first()


def remember_source(request: HttpRequest, source: BusinessSource) -> None:
    """Keep the user's choice. The session is written only if it changes."""
    if request.session.get(SESSION_KEY) != source.name:
        request.session[SESSION_KEY] = source.name
