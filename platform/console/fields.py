"""Form fields of the console that unfold leaves without what readers of screens need."""

from __future__ import annotations

from unfold.admin import ModelAdmin


class NamedChoosers(ModelAdmin):
    """The box that a chooser of rows is searched in has no label of its own."""

    class Media:
        js = ("console/choosers.js",)
