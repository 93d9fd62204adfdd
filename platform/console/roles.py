"""The roles: what a user of the console may do, as groups of Django's permissions.

Written after every migrate, as the permissions themselves are, so that a role knows the pages of a new version. The
names below are the platform's; whoever needs another cut makes another group. ``docs/roles.md`` says why each has what.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from django.contrib.auth.models import Group, Permission

from access.tenancy import TENANT

DRAW = "jobs.add_job"  # the playground: jobs have no other form
MONEY = "access.view_posting"  # the ledger, and what is summed from it


@dataclass(frozen=True)
class Role:
    name: str
    permissions: tuple[str, ...]  # patterns of app.codename

    def has(self, permission: str) -> bool:
        return any(fnmatchcase(permission, pattern) for pattern in self.permissions)


LOOK = ("jobs.view_*", "models_registry.view_*", "access.view_businesssource")
ROLES = (
    Role("viewer", LOOK),
    Role(
        "operator",
        (
            *LOOK,
            "access.view_accesskey",
            DRAW,
            "jobs.change_job",
            "jobs.change_callback",
            "jobs.change_runner",
            "models_registry.add_*",
            "models_registry.change_*",
            "models_registry.delete_promptstyle",
            "models_registry.delete_stylepreset*",
            "models_registry.delete_workflowrule",
            "django_q.view_*",
        ),
    ),
    Role("finance", ("access.view_*", "jobs.view_job", "jobs.view_transition")),
    Role(
        "admin",
        (
            "access.*",
            "jobs.*",
            "models_registry.*",
            "auth.*_user",
            "auth.view_group",
            "django_q.*",
            "console.*",
        ),
    ),
    Role(
        TENANT,
        (
            "access.view_businesssource",
            "access.view_accesskey",
            MONEY,
            DRAW,
            "jobs.view_job",
            "jobs.change_job",
            "jobs.view_output",
            "jobs.view_transition",
            "jobs.view_archivedjob",
            "jobs.view_callback",
            "jobs.change_callback",
            "jobs.view_callbackattempt",
            "models_registry.view_*",
        ),
    ),
)


def create_roles(**_: Any) -> None:
    known = {
        f"{permission.content_type.app_label}.{permission.codename}": permission.pk
        for permission in Permission.objects.select_related("content_type")
    }
    for role in ROLES:
        group, _made = Group.objects.get_or_create(name=role.name)
        group.permissions.set([pk for name, pk in known.items() if role.has(name)])
