"""The whole HTTP surface: the console and one include for each dialect."""

from django.contrib import admin
from django.urls import include, path

from config.health import healthz

urlpatterns = [
    path("healthz", healthz),
    path("admin/", admin.site.urls),
    path("", include("dialects.a1111.urls")),
]
