"""Page of one object as tabs. Each tab is a form with a URL of its own, which saves its own fields only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib.admin.utils import flatten_fieldsets
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import Promise

from .base import ConsoleAdmin

PARAMETER = "tab"


@dataclass(frozen=True)
class Tab:
    """One tab. ``fieldsets`` and ``inlines`` as in ModelAdmin."""

    name: str  # in the URL
    title: str | Promise
    fieldsets: Sequence[Any] = ()
    inlines: Sequence[type[Any]] = ()


class TabForm(forms.ModelForm):
    """Model form that ignores errors of fields on other tabs: they were not caused, and cannot be corrected, here."""

    def add_error(self, field: str | None, error: Any) -> None:
        if field is None and isinstance(error, ValidationError) and hasattr(error, "error_dict"):
            kept = {name: errors for name, errors in error.error_dict.items() if self._has(name)}
            if not kept:
                return
            error = ValidationError(kept)
        super().add_error(field, error)

    def _has(self, name: str) -> bool:
        return name in self.fields or name == NON_FIELD_ERRORS


class TabbedAdmin(ConsoleAdmin):
    """Model page whose change form is divided into ``tabs``; the first one has the plain URL of the object."""

    tabs: ClassVar[Sequence[Tab]] = ()
    change_form_outer_before_template = "admin/tabs.html"

    def tab_of(self, request: HttpRequest) -> Tab:
        """The tab that the URL names. Raises Http404 for an unknown one."""
        name = request.GET.get(PARAMETER, self.tabs[0].name)
        for tab in self.tabs:
            if tab.name == name:
                return tab
        raise Http404

    def tab_url(self, obj: Model, tab: Tab) -> str:
        page = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[obj.pk])
        return page if tab == self.tabs[0] else f"{page}?{PARAMETER}={tab.name}"

    def tab_context(self, request: HttpRequest, obj: Any, tab: Tab) -> dict[str, Any]:
        """Template context of a tab, besides its form."""
        return {}

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return super().get_fieldsets(request, obj) if obj is None else self.tab_of(request).fieldsets

    def get_inlines(self, request: HttpRequest, obj: Model | None) -> Any:
        return () if obj is None else self.tab_of(request).inlines

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        # Fields that a form class declares would be on every tab.
        shown = flatten_fieldsets(self.get_fieldsets(request, obj))
        for name in [name for name in form.base_fields if name not in shown]:
            del form.base_fields[name]
        return form

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        if not change:
            super().save_model(request, obj, form, change)
            return
        # Only the changed columns, so that another tab that is saved at the same time keeps its values.
        stored = {field.name for field in self.opts.concrete_fields}
        obj.save(update_fields=[name for name in form.changed_data if name in stored])

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        context |= {"show_save_and_continue": False, "show_save_and_add_another": False}
        if obj is not None:
            current = self.tab_of(request)
            context |= {
                "tabs": [(tab, self.tab_url(obj, tab), tab == current) for tab in self.tabs],
                "tab": current,
                **self.tab_context(request, obj, current),
            }
        return super().render_change_form(request, context, add, change, form_url, obj)

    def response_post_save_add(self, request: HttpRequest, obj: Any) -> HttpResponseRedirect:
        return HttpResponseRedirect(self.tab_url(obj, self.tabs[0]))

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        response = super().response_change(request, obj)
        if isinstance(response, HttpResponseRedirect):
            return HttpResponseRedirect(self.tab_url(obj, self.tab_of(request)))
        return response
