"""Notes of an import for operators: a message with its values, so that the console can translate it."""

from __future__ import annotations

from typing import Any, NamedTuple

NO_SAVING_NODE = "the graph has no node that saves an image, such as SaveImage"
SEVERAL_SAVE = "several nodes save images: those of %(results)s are the images of a job, and those of %(extras)s are stored beside them (slot extras)"
REPLACED = "node %(node)s: %(class_type)s does not save its images and was replaced by SaveImage"
FIXED_STEPS = (
    "steps keep the value of the graph: its passes begin and end at fixed steps (start_at_step, end_at_step)"
)
PASSES_DIFFER = "the passes differ in %(slot)s; the request sets that of the first, %(place)s"
SEVERAL_IMAGES = "%(count)d nodes load images: they take the images of a request in the order of %(nodes)s (slots images[0], images[1], …)"
OPTIONAL_IMAGES = "%(slots)s may be left out by a request; what needs them is then taken out of the graph"
SEVERAL_MODELS = "the graph loads several models; requests do not replace them"
MESSAGES = (
    NO_SAVING_NODE,
    SEVERAL_SAVE,
    REPLACED,
    FIXED_STEPS,
    PASSES_DIFFER,
    SEVERAL_IMAGES,
    OPTIONAL_IMAGES,
    SEVERAL_MODELS,
)


class Note(NamedTuple):
    """One of ``MESSAGES``, and its values."""

    message: str
    values: dict[str, Any] = {}  # never changed

    def __str__(self) -> str:
        return self.message % self.values
