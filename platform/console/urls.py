"""URLs of the console's pages that belong to no model. Included before the admin's URLs, which end with a catch-all."""

from django.contrib import admin
from django.urls import path

from .dashboard import views
from .gallery import views as gallery
from .gallery.parameters import parameters as gallery_parameters
from .jobs import labels
from .playground.choices import choices
from .playground.page import page
from .playground.parameters import parameters
from .search.views import search
from .setup import views as setup

app_name = "console"

urlpatterns = [
    path("dashboard/live/", admin.site.admin_view(views.live), name="dashboard_live"),
    path("gallery/", admin.site.admin_view(gallery.page), name="gallery"),
    path("gallery/parameters/", admin.site.admin_view(gallery_parameters), name="gallery_parameters"),
    path("gallery/do/", admin.site.admin_view(gallery.act), name="gallery_do"),
    path("playground/", admin.site.admin_view(page), name="playground"),
    path("playground/choices/", admin.site.admin_view(choices), name="playground_choices"),
    path("playground/parameters/", admin.site.admin_view(parameters), name="playground_parameters"),
    path("labels/", admin.site.admin_view(labels.page), name="labels"),
    path("search/", admin.site.admin_view(search), name="search"),
    path("setup/", admin.site.admin_view(setup.page), name="setup"),
    path("setup/install/", admin.site.admin_view(setup.install), name="setup_install"),
]
