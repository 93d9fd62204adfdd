"""Pages of the console that ask something before they do it, in a form of their own."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.text import capfirst

Text = str | Promise


class AskForm(forms.Form):
    """Labels begin as those of the admin do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.label = capfirst(str(field.label))


def ask(
    request: HttpRequest,
    title: Text,
    button: Text,
    *,
    form: forms.Form | None = None,
    text: Text = "",
    danger: bool = False,
) -> TemplateResponse:
    """What is answered comes back to the same address as a POST."""
    asked = {"title": title, "button": button, "form": form, "text": text, "danger": danger}
    return TemplateResponse(request, "admin/ask.html", {**admin.site.each_context(request), **asked})
