"""Routes of the A1111 dialect: /sdapi/v1, /controlnet and /internal at the root of the host."""

from django.urls import URLPattern, path, re_path

from . import controlnet_views, unavailable_routes, views
from .request import extras
from .response import openapi
from .response.listings import READABLE, REFRESHABLE, Listing, Ping, Refresh
from .unavailable_routes import not_found

urlpatterns: list[URLPattern] = [
    path("sdapi/v1/txt2img", views.Generation.as_view(operation="txt2img")),
    path("sdapi/v1/img2img", views.Generation.as_view(operation="img2img")),
    path(f"sdapi/v1/{extras.SINGLE}", views.Extras.as_view(operation=extras.SINGLE)),
    path(f"sdapi/v1/{extras.BATCH}", views.Extras.as_view(operation=extras.BATCH)),
    path("sdapi/v1/interrogate", views.Interrogate.as_view()),
    path("sdapi/v1/jobs/<str:job_id>", views.JobResult.as_view()),
    path("sdapi/v1/progress", views.Progress.as_view()),
    path("sdapi/v1/interrupt", views.Interrupt.as_view()),
    path("sdapi/v1/skip", views.Skip.as_view()),
    path("sdapi/v1/options", views.Options.as_view()),
    path("sdapi/v1/png-info", views.PngInfo.as_view()),
    *(path(f"sdapi/v1/{name}", view.as_view()) for name, view in unavailable_routes.ROUTES.items()),
    *(path(f"sdapi/v1/{name}", Listing.as_view(read=read)) for name, read in READABLE.items()),
    *(path(f"sdapi/v1/{name}", Refresh.as_view()) for name in REFRESHABLE),
    path("controlnet/version", controlnet_views.Version.as_view()),
    path("controlnet/model_list", controlnet_views.Models.as_view()),
    path("controlnet/module_list", controlnet_views.Modules.as_view()),
    path("controlnet/control_types", controlnet_views.Types.as_view()),
    path("controlnet/settings", controlnet_views.Settings.as_view()),
    path("controlnet/detect", controlnet_views.Detect.as_view()),
    path("controlnet/render_openpose_json", controlnet_views.RenderPoses.as_view()),
    path("internal/ping", Ping.as_view()),
    path("internal/pending-tasks", views.PendingTasks.as_view()),
    path("internal/progress", views.TaskProgress.as_view()),
    path("openapi.json", openapi.Document.as_view(), name="a1111-openapi"),
    path("docs", openapi.Page.as_view(), name="a1111-docs"),
    re_path(r"^(?:sdapi|controlnet|internal)(?:/(?s:.*))?$", not_found),
]
