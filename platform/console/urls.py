"""Pages of the console that are no model's. They stand before the admin's own addresses, which end with a catch-all."""

from django.contrib import admin
from django.urls import path

from . import playground
from .dashboard import views

app_name = "console"

urlpatterns = [
    path("dashboard/live/", admin.site.admin_view(views.live), name="dashboard_live"),
    path("playground/", admin.site.admin_view(playground.page), name="playground"),
]
