"""Pages of jobs: list, detail page, comparison, callbacks and archive."""

from console.jobs import admin  # noqa: F401
