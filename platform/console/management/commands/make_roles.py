"""``manage.py make_roles``: creates the console's roles or resets their permissions; ``migrate`` does the same."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from console.tenants.roles import ROLES, create_roles


class Command(BaseCommand):
    help = "Create the console's roles as groups, or reset their permissions to the defaults."

    def handle(self, *args: Any, **options: Any) -> None:
        create_roles()
        self.stdout.write(", ".join(role.name for role in ROLES))
