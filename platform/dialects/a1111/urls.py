"""Routes of the A1111 dialect."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
