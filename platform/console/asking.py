"""Pages of the console that ask something before they do it, in a form of their own."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.functional import Promise

Text = str | Promise


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
