"""Routes of the Zhiqite dialect, below /AIGCImgOpenServ/."""

from django.urls import URLPattern, path, re_path

from . import views
from .base import NotFound
from .request import submission_v2, submission_v3
from .request.tools.analysis_tools import INTERROGATE
from .request.tools.unsupported import REFUSED_AREAS
from .response import task_status
from .response.listings import LISTS
from .training import urls as training

GENERATIONS_V2 = {
    "saas/sd/v2/text2image": submission_v2.TEXT,
    "saas/sd/v2/image2image": submission_v2.IMAGE,
    "saas/sd/v2/controlnet": submission_v2.CONTROL,
    "saas/sd/v1/inpaint": submission_v2.INPAINT,
}

urlpatterns: list[URLPattern] = [
    *(
        path(route, views.GenerateV2.as_view(operation=operation))
        for route, operation in GENERATIONS_V2.items()
    ),
    *(path(f"saas/sd/v2/{name}", views.List.as_view(query=query)) for name, query in LISTS.items()),
    path("saas/sd/v2/queryTaskInfo", views.TaskState.as_view()),
    path(
        "saas/sd/queryTaskInfo",
        views.TaskState.as_view(find=task_status.find_generation, render=task_status.archived),
    ),
    *(
        path(f"saas/sd/{operation}", views.GenerateV3.as_view(operation=operation))
        for operation in submission_v3.BODIES
    ),
    path("saas/tool/<path:code>/queryTask", views.ToolState.as_view()),
    path(f"saas/tool/{INTERROGATE}", views.InterrogateImage.as_view()),
    path("saas/tool/<path:code>", views.SubmitTool.as_view()),
    *training.urlpatterns,
    re_path(rf"^saas/(?P<area>{'|'.join(REFUSED_AREAS)})/(?P<rest>.*)$", views.RefusedArea.as_view()),
    re_path(r"^[\s\S]*$", NotFound.as_view()),
]
