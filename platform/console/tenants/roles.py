"""Roles of the console, as Django groups with permissions.

The groups are written after every ``migrate``, as Django's permissions are, so that a role covers the pages of a new
version. The names below belong to the platform: for other combinations of permissions, create another group.
``docs/roles.md`` explains each role.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from django.contrib.auth.models import Group, Permission

from access.tenancy import TENANT

SUBMIT_JOBS = "jobs.add_job"  # the playground is the only page that adds jobs
VIEW_IMAGES = ("jobs.view_job", "jobs.view_output")
DELETE_IMAGES = "jobs.delete_output"  # in the gallery
VIEW_COSTS = "access.view_posting"  # the ledger and every figure that is computed from it


@dataclass(frozen=True)
class Role:
    name: str
    permissions: tuple[str, ...]  # patterns of app.codename

    def has(self, permission: str) -> bool:
        return any(fnmatchcase(permission, pattern) for pattern in self.permissions)


VIEW = ("jobs.view_*", "models_registry.view_*", "access.view_businesssource")
ROLES = (
    Role("viewer", VIEW),
    Role(
        "operator",
        (
            *VIEW,
            "access.view_accesskey",
            SUBMIT_JOBS,
            DELETE_IMAGES,  # an image that must not be handed out is removed by the operator on duty
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
            "access.add_accesskey",  # within the limits of its source
            "access.change_accesskey",  # its note, a new secret, and to revoke it
            VIEW_COSTS,
            SUBMIT_JOBS,
            "jobs.view_job",
            "jobs.change_job",
            "jobs.view_output",
            DELETE_IMAGES,
            "jobs.view_transition",
            "jobs.view_archivedjob",
            "jobs.view_callback",
            "jobs.change_callback",
            "jobs.view_callbackattempt",
            "jobs.view_modelintake",
            "models_registry.view_*",
        ),
    ),
)


def create_roles(**_: Any) -> None:
    """Create the group of each role and set its permissions. Receiver of ``post_migrate``."""
    permission_ids = {
        f"{permission.content_type.app_label}.{permission.codename}": permission.pk
        for permission in Permission.objects.select_related("content_type")
    }
    for role in ROLES:
        group, _created = Group.objects.get_or_create(name=role.name)
        group.permissions.set([pk for name, pk in permission_ids.items() if role.has(name)])
