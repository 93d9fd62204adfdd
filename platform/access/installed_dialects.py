"""Names of the installed dialects, from INSTALLED_APPS, because lower layers must not import the dialects."""

from __future__ import annotations

from django.apps import apps

PACKAGE = "dialects."


def installed() -> list[str]:
    """App labels of the installed dialects."""
    return [config.label for config in apps.get_app_configs() if config.name.startswith(PACKAGE)]
