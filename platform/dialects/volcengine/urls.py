from django.urls import URLPattern, path

from .views import root

urlpatterns: list[URLPattern] = [path("", root)]
