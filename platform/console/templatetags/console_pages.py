"""Template filters of the console's overrides of theme templates."""

from __future__ import annotations

import json
import re
from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from access.tenancy import is_tenant
from console.navigation import GROUPS

register = template.Library()


@register.filter
def as_in_menu(parts: list[dict[str, Any]], request: HttpRequest) -> list[dict[str, Any]]:
    """Breadcrumbs with the names of the menu: its group instead of the Django app, and its title of the list.

    The menu of tenants has no groups.
    """
    names = {
        reverse(f"admin:{model}_changelist"): (group, title)
        for group, items in GROUPS
        for title, _icon, model in items
    }
    for index, part in enumerate(parts[1:], 1):
        if part.get("link") in names:
            group, title = names[part["link"]]
            first = [] if is_tenant(request.user) else [{"title": group}]
            return [*first, *parts[1:index], part | {"title": title}, *_names(parts[index + 1 :])]
    return [*parts[:2], *_names(parts[2:])]


def _names(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Names of objects, which are not capitalized."""
    return [part | {"is_name": True} for part in parts]


@register.filter
def initials(name: str) -> str:
    """Two letters that stand for a name where it has no image: those of its first two words, or its first two."""
    words = re.findall(r"[^\W_]+", name)
    return words[0][0] + words[1][0] if len(words) > 1 else name[:2]


@register.filter
def pretty_json(field: Any) -> SafeString:
    """Value of a read-only JSON field, indented."""
    _model_field, _name, value = field.resolved_field
    return format_html('<pre class="at-json">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False))
