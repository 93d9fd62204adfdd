"""Routes of the Zhiqite dialect, below /AIGCImgOpenServ/."""

from django.urls import URLPattern, path, re_path

from . import request_v2, tasks, views
from .base import Elsewhere
from .listings import LISTS

DRAWINGS = {
    "saas/sd/v2/text2image": request_v2.TEXT,
    "saas/sd/v2/image2image": request_v2.IMAGE,
    "saas/sd/v2/controlnet": request_v2.CONTROL,
    "saas/sd/v1/inpaint": request_v2.INPAINT,
}

urlpatterns: list[URLPattern] = [
    *(path(route, views.DrawV2.as_view(operation=operation)) for route, operation in DRAWINGS.items()),
    *(path(f"saas/sd/v2/{name}", views.List.as_view(query=query)) for name, query in LISTS.items()),
    path("saas/sd/v2/queryTaskInfo", views.TaskState.as_view()),
    path("saas/sd/queryTaskInfo", views.TaskState.as_view(find=tasks.drawing_of, render=tasks.archived)),
    re_path(r"^[\s\S]*$", Elsewhere.as_view()),
]
