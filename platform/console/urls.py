"""URLs of the console's pages that belong to no model. Included before the admin's URLs, which end with a catch-all."""

from django.contrib import admin
from django.urls import path

from .dashboard import views
from .dashboard.setup import views as setup
from .gallery import views as gallery
from .gallery.parameters import parameters as gallery_parameters
from .jobs import labels
from .platform_pages.search import search
from .playground.choices import choices
from .playground.code import code
from .playground.page import page
from .playground.parameters import parameters
from .portal import api_pages, keys, models, overview, usage
from .tenants import labels as source_labels
from .trainings import new as new_training
from .trainings import views as trainings

app_name = "console"

urlpatterns = [
    path("", admin.site.admin_view(overview.home), name="home"),
    path("overview/", admin.site.admin_view(overview.page), name="overview"),
    path("usage/", admin.site.admin_view(usage.page), name="usage"),
    path("models/", admin.site.admin_view(models.page), name="models"),
    path("models/<int:file_id>/sample/", admin.site.admin_view(models.sample), name="model_thumbnail"),
    path("keys/", admin.site.admin_view(keys.page), name="keys"),
    path("keys/callback-secret/", admin.site.admin_view(keys.callback_secret), name="callback_secret"),
    path("apis/", admin.site.admin_view(api_pages.page), name="apis"),
    path("apis/<slug:dialect>/", admin.site.admin_view(api_pages.page), name="api"),
    path("dashboard/live/", admin.site.admin_view(views.live), name="dashboard_live"),
    path("gallery/", admin.site.admin_view(gallery.page), name="gallery"),
    path("gallery/parameters/", admin.site.admin_view(gallery_parameters), name="gallery_parameters"),
    path("gallery/do/", admin.site.admin_view(gallery.act), name="gallery_do"),
    path("playground/", admin.site.admin_view(page), name="playground"),
    path("playground/choices/", admin.site.admin_view(choices), name="playground_choices"),
    path("playground/parameters/", admin.site.admin_view(parameters), name="playground_parameters"),
    path("playground/code/", admin.site.admin_view(code), name="playground_code"),
    path("trainings/", admin.site.admin_view(trainings.page), name="trainings"),
    path("trainings/new/", admin.site.admin_view(new_training.page), name="training_new"),
    path("trainings/<uuid:training_id>/", admin.site.admin_view(trainings.one), name="training"),
    path("trainings/<uuid:training_id>/live/", admin.site.admin_view(trainings.live), name="training_live"),
    path("trainings/<uuid:training_id>/file/", admin.site.admin_view(trainings.file), name="training_file"),
    path(
        "trainings/<uuid:training_id>/preview/",
        admin.site.admin_view(trainings.preview),
        name="training_preview",
    ),
    *(
        path(
            f"trainings/<uuid:training_id>/{what}/",
            admin.site.admin_view(trainings.act),
            {"what": what},
            name=f"training_{what}",
        )
        for what in ("cancel", "finish")
    ),
    path("labels/", admin.site.admin_view(labels.page), name="labels"),
    path("labels/sample/", admin.site.admin_view(source_labels.sample), name="label_sample"),
    path("search/", admin.site.admin_view(search), name="search"),
    path("setup/", admin.site.admin_view(setup.page), name="setup"),
    path("setup/install/", admin.site.admin_view(setup.install), name="setup_install"),
]
