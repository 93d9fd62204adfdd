"""Labels of generated images on the page of a source. They belong to operators alone (ConsoleAdmin.tenant_fields)."""

from __future__ import annotations

from django.utils.translation import gettext_lazy

LABELS = (
    gettext_lazy("Labels of generated images"),
    {
        "description": gettext_lazy("Empty: as set for the platform. See docs/labels.md."),
        "fields": [
            ("content_producer", "content_propagator"),
            ("explicit_label", "label_text"),
            ("label_corner", "label_height", "label_opacity"),
            ("unlabeled_consent", "unlabeled_consent_on"),
        ],
    },
)
