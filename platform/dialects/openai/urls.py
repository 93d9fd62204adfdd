"""Routes of the OpenAI API, below /v1/, with or without a trailing slash."""

from __future__ import annotations

from django.urls import URLPattern, path, re_path

from . import views
from .base import NoLanguageModel, NotFound

ELSEWHERE = r"^(?:chat|completions|responses|embeddings|audio|realtime|assistants|threads)(?:/[\s\S]*)?$"

urlpatterns: list[URLPattern] = [
    re_path(r"^images/generations/?$", views.Images.as_view()),
    re_path(r"^images/edits/?$", views.Edits.as_view()),
    re_path(r"^images/variations/?$", views.Variations.as_view()),
    path("images/generations/<uuid:job_id>", views.OneJob.as_view()),
    re_path(r"^models/?$", views.Models.as_view()),
    re_path(r"^models/(?P<name>[^\0]+)$", views.OneModel.as_view()),
    re_path(ELSEWHERE, NoLanguageModel.as_view()),
    re_path(r"^[\s\S]*$", NotFound.as_view()),
]
