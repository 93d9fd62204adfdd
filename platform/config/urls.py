"""Root URL configuration: health and metrics, the console, stored images, and one line for each dialect."""

from django.contrib import admin
from django.urls import include, path

from config.favicon import favicon
from dialects.stablediffusionapi import urls as stablediffusionapi
from operations.health import healthz
from operations.views import metrics, readyz

from .root_view import root, to_console

handler400 = "config.error_pages.bad_request"
handler403 = "config.error_pages.permission_denied"
handler404 = "config.error_pages.not_found"
handler500 = "config.error_pages.server_error"

urlpatterns = [
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("favicon.ico", favicon),
    path("admin", to_console),
    path("admin/", include("console.urls")),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("api/", include(stablediffusionapi.enterprise)),
    path("api/v1/", include("dialects.native.urls")),
    path("api/v3/", include("dialects.ark.urls")),
    path("api/", include(stablediffusionapi)),
    path("v1/", include("dialects.openai.urls")),
    path("AIGCImgOpenServ/", include("dialects.zhiqite.urls")),
    path("", include("jobs.images.views")),
    path("", include("jobs.images.storage_targets.views")),
    path("", include("jobs.training.file_downloads")),
    path("pictures/", include("dialects.smzdm.urls")),
    path("", include("dialects.a1111.urls")),
    path("", root),
]
