"""Routes of the SMZDM image API, below /pictures/."""

from django.urls import URLPattern, path, re_path

from . import views
from .base import NotFound

urlpatterns: list[URLPattern] = [
    path("change_background", views.ChangeBackground.as_view()),
    path("rembg_img", views.RemoveBackground.as_view()),
    path("create_img_by_mj", views.Midjourney.as_view()),
    re_path(r"^[\s\S]*$", NotFound.as_view()),
]
