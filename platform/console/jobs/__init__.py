"""The list of jobs, and a job's page."""

from console.jobs import admin  # noqa: F401
