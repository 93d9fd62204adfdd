"""Admin module of the app. Django imports it by autodiscovery; it imports the modules that register the pages."""

from console.audit import admin as audit_admin  # noqa: F401
from console.jobs import admin as jobs_admin  # noqa: F401
from console.jobs import archive, callbacks, unlabeled  # noqa: F401
from console.platform_pages import background_tasks, storage_targets  # noqa: F401
from console.registry import model_files, styles  # noqa: F401
from console.registry.workflows import admin as workflows_admin  # noqa: F401
from console.runners import admin as runners_admin  # noqa: F401
from console.tenants import sources, users  # noqa: F401
