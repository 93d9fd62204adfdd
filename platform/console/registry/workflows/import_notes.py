"""Notes of an import in the language of the operator."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from gpu_runner.protocol.workflows.imports.notes import Note

# Marked for translation here, because the package of the messages has no Django.
MESSAGES = (
    gettext_noop("the graph has no node that saves an image, such as SaveImage"),
    gettext_noop(
        "several nodes save images: those of %(results)s are the images of a job, and those of %(extras)s are stored beside"
        " them (slot extras)"
    ),
    gettext_noop("node %(node)s: %(class_type)s does not save its images and was replaced by SaveImage"),
    gettext_noop(
        "steps keep the value of the graph: its passes begin and end at fixed steps (start_at_step, end_at_step)"
    ),
    gettext_noop("the passes differ in %(slot)s; the request sets that of the first, %(place)s"),
    gettext_noop(
        "%(count)d nodes load images: they take the images of a request in the order of %(nodes)s (slots images[0],"
        " images[1], …)"
    ),
    gettext_noop("%(slots)s may be left out by a request; what needs them is then taken out of the graph"),
    gettext_noop("the graph loads several models; requests do not replace them"),
)


def text_of(note: Note) -> str:
    return _(note.message) % note.values
