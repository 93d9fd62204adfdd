"""Routes of the A1111 dialect: /sdapi/v1 and /internal at the host's root."""

from django.urls import URLPattern, path, re_path

from . import views
from .fallback import elsewhere
from .listings import READABLE, REFRESHABLE, Listing, Ping, Refresh

urlpatterns: list[URLPattern] = [
    path("sdapi/v1/txt2img", views.Generation.as_view(operation="txt2img")),
    path("sdapi/v1/img2img", views.Generation.as_view(operation="img2img")),
    path("sdapi/v1/jobs/<str:job_id>", views.JobResult.as_view()),
    path("sdapi/v1/progress", views.Progress.as_view()),
    path("sdapi/v1/interrupt", views.Interrupt.as_view()),
    path("sdapi/v1/skip", views.Skip.as_view()),
    path("sdapi/v1/options", views.Options.as_view()),
    *(path(f"sdapi/v1/{name}", Listing.as_view(answer=answer)) for name, answer in READABLE.items()),
    *(path(f"sdapi/v1/{name}", Refresh.as_view()) for name in REFRESHABLE),
    path("internal/ping", Ping.as_view()),
    path("internal/pending-tasks", views.PendingTasks.as_view()),
    path("internal/progress", views.TaskProgress.as_view()),
    re_path(r"^(?:sdapi|internal)(?:/(?s:.*))?$", elsewhere),
]
