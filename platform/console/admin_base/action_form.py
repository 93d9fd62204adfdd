"""Intermediate page of an admin action: shows a form or a confirmation before the action runs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.text import capfirst

Text = str | Promise


class ActionForm(forms.Form):
    """Form of an action page. Capitalizes labels, as Django does for model forms."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.label = capfirst(str(field.label))


def action_page(
    request: HttpRequest,
    title: Text,
    button: Text,
    *,
    form: forms.Form | None = None,
    text: Text = "",
    danger: bool = False,
) -> TemplateResponse:
    """Render the page. Its form is sent to the same URL as a POST; ``danger`` colors the button red."""
    context = {"title": title, "button": button, "form": form, "text": text, "danger": danger}
    return TemplateResponse(
        request, "admin/action_form.html", {**admin.site.each_context(request), **context}
    )
