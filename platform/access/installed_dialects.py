"""Which dialects there are: what is installed, because nothing below a dialect may know it."""

from __future__ import annotations

from django.apps import apps

PACKAGE = "dialects."


def installed() -> list[str]:
    return [config.label for config in apps.get_app_configs() if config.name.startswith(PACKAGE)]
