"""Routes of the native API, below /api/v1/."""

from django.urls import URLPattern, path, re_path
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from dialects.http import IgnoreAcceptHeader

from . import labels, model_intakes, reproductions, trainings, views
from .base import NotFound

app_name = "native"

urlpatterns: list[URLPattern] = [
    path("jobs", views.Jobs.as_view(), name="jobs"),
    path("jobs/<uuid:job_id>", views.OneJob.as_view(), name="job"),
    path("jobs/<uuid:job_id>/cancel", views.Cancel.as_view(), name="cancel"),
    path("jobs/<uuid:job_id>/interrupt", views.Interrupt.as_view(), name="interrupt"),
    path("jobs/<uuid:job_id>/skip", views.Skip.as_view(), name="skip"),
    path("jobs/<uuid:job_id>/events", views.Events.as_view(), name="events"),
    path("jobs/<uuid:job_id>/outputs/<int:index>", views.OneOutput.as_view(), name="output"),
    path("jobs/<uuid:job_id>/extras/<int:index>", views.OneExtra.as_view(), name="extra"),
    path(
        "jobs/<uuid:job_id>/outputs/<int:index>/capsule",
        reproductions.OutputCapsule.as_view(),
        name="capsule",
    ),
    path("reproduce", reproductions.Reproduce.as_view(), name="reproduce"),
    path("reproductions/<uuid:job_id>", reproductions.OneReproduction.as_view(), name="reproduction"),
    path(
        "reproductions/<uuid:job_id>/difference", reproductions.DifferencePicture.as_view(), name="difference"
    ),
    path("pictures", views.Uploads.as_view(), name="uploads"),
    path("labels/read", labels.ReadLabels.as_view(), name="labels"),
    path("quote", views.Quotes.as_view(), name="quote"),
    path("models", views.Models.as_view(), name="models"),
    path("models/intakes", model_intakes.ModelIntakes.as_view(), name="model-intakes"),
    path("models/intakes/<uuid:intake_id>", model_intakes.OneModelIntake.as_view(), name="model-intake"),
    path("trainings", trainings.Trainings.as_view(), name="trainings"),
    path("trainings/quote", trainings.TrainingQuotes.as_view(), name="training-quote"),
    path("trainings/<uuid:training_id>", trainings.OneTraining.as_view(), name="training"),
    path("trainings/<uuid:training_id>/cancel", trainings.CancelTraining.as_view(), name="training-cancel"),
    path("trainings/<uuid:training_id>/finish", trainings.FinishTraining.as_view(), name="training-finish"),
    path("samplers", views.Samplers.as_view(), name="samplers"),
    path("schedulers", views.Schedulers.as_view(), name="schedulers"),
    path("usage", views.Usage.as_view(), name="usage"),
    path(
        "openapi.json",
        SpectacularAPIView.as_view(
            renderer_classes=[OpenApiJsonRenderer],
            authentication_classes=[],
            content_negotiation_class=IgnoreAcceptHeader,
        ),
        name="openapi",
    ),
    path(
        "docs",
        SpectacularSwaggerView.as_view(
            url_name="native:openapi", authentication_classes=[], content_negotiation_class=IgnoreAcceptHeader
        ),
        name="docs",
    ),
    re_path(r"^[\s\S]*$", NotFound.as_view()),
]
