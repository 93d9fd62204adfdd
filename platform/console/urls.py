"""URLs of the console's pages that belong to no model. Included before the admin's URLs, which end with a catch-all."""

from django.contrib import admin
from django.urls import path

from . import playground
from .dashboard import views
from .jobs import labels
from .setup import views as setup

app_name = "console"

urlpatterns = [
    path("dashboard/live/", admin.site.admin_view(views.live), name="dashboard_live"),
    path("labels/", admin.site.admin_view(labels.page), name="labels"),
    path("playground/", admin.site.admin_view(playground.page), name="playground"),
    path("setup/", admin.site.admin_view(setup.page), name="setup"),
    path("setup/install/", admin.site.admin_view(setup.install), name="setup_install"),
]
