"""Labels of generated images on the page of a source. They belong to operators alone (ConsoleAdmin.tenant_fields)."""

from __future__ import annotations

from django.utils.translation import gettext_lazy

LABELS = (
    gettext_lazy("Labels of generated images"),
    {
        "description": gettext_lazy("Empty: as set for the platform. See docs/labels.md."),
        "fields": [("content_producer", "content_propagator")],
    },
)
