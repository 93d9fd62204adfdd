"""Views that load models from URLs for the key's source, show their state, and disable them again."""

from __future__ import annotations

import uuid
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.images.signed_urls import base_url
from jobs.model_intake import removal
from jobs.model_intake.submission import submit
from jobs.models import ModelIntake

from .base import NativeView, json_response
from .errors import Problem
from .openapi import operation
from .request.json_body import read_json
from .request.model_intake import ModelIntakeBody
from .response.model_intake import ModelIntakeList, ModelIntakeView, intake_view

NEWEST = 100
EXAMPLE = OpenApiExample(
    "A LoRA",
    value={"url": "https://example.com/night.safetensors", "name": "night", "kind": "lora"},
    request_only=True,
)


class ManagingView(NativeView):
    """Base of the views that need a key with the right to manage models."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not self.key.manages_models:
            raise Problem(
                403,
                "forbidden",
                _("This key may not manage models. An operator can permit it on the key's page."),
            )


class ModelIntakes(ManagingView):
    @operation("listModelIntakes", {200: ModelIntakeList}, tags=["models"])
    def get(self, request: Request) -> Response:
        """The newest models that this source has loaded from URLs, or tried to."""
        intakes = ModelIntake.objects.filter(source=self.key.source).select_related("file")[:NEWEST]
        return json_response(ModelIntakeList(items=[intake_view(intake) for intake in intakes]))

    @operation(
        "loadModel",
        {201: ModelIntakeView},
        problems=(400, 409, 413, 415, 422),
        request=ModelIntakeBody,
        examples=[EXAMPLE],
        tags=["models"],
    )
    def post(self, request: Request) -> Response:
        """Load a model file from a URL, for this source only. Returns at once: poll the intake, or send a callback URL."""
        body = ModelIntakeBody.model_validate(read_json(request))
        intake = submit(body.intake(self.key, base_url(request._request)))
        view = intake_view(intake)
        return json_response(view, 201, {"Location": view.url})


class OneModelIntake(ManagingView):
    @operation("getModelIntake", {200: ModelIntakeView}, problems=(404,), tags=["models"])
    def get(self, request: Request, intake_id: uuid.UUID) -> Response:
        """State of a model that is loaded from a URL."""
        return json_response(intake_view(self.intake(intake_id)))

    @operation("deleteModelIntake", {200: ModelIntakeView}, problems=(404, 409), tags=["models"])
    def delete(self, request: Request, intake_id: uuid.UUID) -> Response:
        """Disable the model of an intake. Its file stays until an operator deletes it."""
        intake = self.intake(intake_id)
        file = removal.own_model(self.key.source, intake.file.name) if intake.file else None
        if file is None or file != intake.file:
            detail = _(
                "There is no model to disable: it is not ready, disabled already, or shared with other sources."
            )
            raise Problem(409, "not_removable", detail)
        removal.disable(file)
        return json_response(intake_view(intake))

    def intake(self, intake_id: uuid.UUID) -> ModelIntake:
        found = (
            ModelIntake.objects.filter(source=self.key.source, pk=intake_id).select_related("file").first()
        )
        if found is None:
            raise Problem.not_found()
        return found
