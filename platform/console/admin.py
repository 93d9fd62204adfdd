"""What the console shows. Django looks for this module; each part registers its pages."""

from console import (  # noqa: F401
    archive,
    audit_entries,
    background,
    callbacks,
    jobs,
    model_files,
    runners,
    sources,
    storage_targets,
    styles,
    users,
    workflows,
)
