"""Routes of trainings, below saas/. The vendor documents the first; the names of the others follow it. [R]"""

from django.urls import URLPattern, path

from . import views
from .submission import OPERATION

QUERY = "modelTraining/queryTraining/Job"
urlpatterns: list[URLPattern] = [
    path(f"saas/{OPERATION}", views.Submit.as_view()),
    path(f"saas/{QUERY}", views.Query.as_view()),
    path("saas/modelTraining/queryTask", views.Query.as_view()),
]
