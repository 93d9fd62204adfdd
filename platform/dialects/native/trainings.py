"""Views of trainings: submit, price, list, stop, and delete the result."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.admission.admit import find_replay
from jobs.images.signed_urls import base_url, public_path
from jobs.models import Job, Training
from jobs.training.selectors import delete_result, training_get, trainings_of
from jobs.training.submission import price, submit

from . import control
from .authentication import DIALECT
from .base import NativeView, json_response
from .errors import Problem
from .openapi import operation
from .request.training import TrainingBody, fingerprint, read_training
from .response.schemas import QuoteView, quote_view
from .response.training import TrainingList, TrainingView, training_view
from .views import BINARY, KEY_HEADER, UNREADABLE

NEWEST = 100
FORM = {
    "type": "object",
    "description": "The fields of the JSON body, with the data set as files.",
    "properties": {
        "name": {"type": "string"},
        "images": {"type": "array", "items": BINARY},
        "archive": BINARY,
    },
    "required": ["name"],
    "additionalProperties": True,
}
BODY = {"application/json": TrainingBody, "multipart/form-data": FORM}
EXAMPLE = OpenApiExample(
    "A LoRA of a style",
    value={
        "name": "zorb",
        "trigger": "zorb",
        "archive": "https://example.com/zorb.zip",
        "steps": 800,
        "rank": 16,
    },
    request_only=True,
    media_type="application/json",
)
STOPPED = {
    200: TrainingView,
    202: OpenApiResponse(TrainingView, description="A signal was sent to its trainer."),
}


class TrainingRoute(NativeView):
    """Base of the views of one training."""

    def training(self, training_id: uuid.UUID) -> Training:
        try:
            return training_get(self.key.source, training_id)
        except Training.DoesNotExist:
            raise Problem.not_found() from None

    def signal(self, training_id: uuid.UUID, action: Callable[[Job], None]) -> Response:
        action(self.training(training_id).job)
        training = self.training(training_id)
        return json_response(self.view(training), 200 if training.job.is_terminal else 202)

    def view(self, training: Training) -> TrainingView:
        return training_view(training, base_url(self.request._request))


class Trainings(TrainingRoute):
    parser_classes = [MultiPartParser]

    @operation("listTrainings", {200: TrainingList}, tags=["trainings"])
    def get(self, request: Request) -> Response:
        """The newest trainings of the source."""
        views = [self.view(training) for training in trainings_of(self.key.source)[:NEWEST]]
        return json_response(TrainingList(items=views))

    @operation(
        "submitTraining",
        {
            201: TrainingView,
            200: OpenApiResponse(
                TrainingView, description="The training of an earlier request with this id."
            ),
        },
        problems=(*UNREADABLE, 402, 409),
        request=BODY,
        parameters=[KEY_HEADER],
        examples=[EXAMPLE],
        tags=["trainings"],
    )
    def post(self, request: Request) -> Response:
        """Train a LoRA that only this source can use. Returns at once: follow the events of its job, or poll."""
        replay = find_replay(self.key.source, DIALECT, request._request, fingerprint(request))
        job, is_new = replay.job, False
        if job is None:
            wanted = replace(read_training(self.key, request), idempotency=replay.idempotency)
            job, is_new = submit(wanted)
            if not is_new and job.received != wanted.received:
                detail = _("This id was used for a job with another request.")
                raise Problem(409, "idempotency_conflict", detail, field="external_id", job_id=str(job.pk))
        view = self.view(self.training(job.pk))
        return json_response(view, 201 if is_new else 200, {"Location": public_path(view.url)})


class TrainingQuotes(NativeView):
    parser_classes = [MultiPartParser]

    @operation("quoteTraining", {200: QuoteView}, problems=UNREADABLE, request=BODY, tags=["trainings"])
    def post(self, request: Request) -> Response:
        """Price of a training, and every reason why it would be refused. Nothing is stored."""
        return json_response(quote_view(price(read_training(self.key, request)), []))


class OneTraining(TrainingRoute):
    @operation("getTraining", {200: TrainingView}, problems=(404,), tags=["trainings"])
    def get(self, request: Request, training_id: uuid.UUID) -> Response:
        """A training, with its loss curve, its samples and its result."""
        return json_response(self.view(self.training(training_id)))

    @operation("deleteTrainedModel", {200: TrainingView}, problems=(404, 409), tags=["trainings"])
    def delete(self, request: Request, training_id: uuid.UUID) -> Response:
        """Delete the LoRA of a training, with its file."""
        if not delete_result(self.training(training_id)):
            detail = _("There is no model to delete: it is not trained yet, deleted already, or shared.")
            raise Problem(409, "not_removable", detail)
        return json_response(self.view(self.training(training_id)))


class CancelTraining(TrainingRoute):
    http_method_names = ["post"]

    @operation("cancelTraining", STOPPED, problems=(404,), request=None, tags=["trainings"])
    def post(self, request: Request, training_id: uuid.UUID) -> Response:
        """Stop a training and keep nothing. The steps that were done are billed."""
        return self.signal(training_id, control.cancel)


class FinishTraining(TrainingRoute):
    http_method_names = ["post"]

    @operation("finishTraining", STOPPED, problems=(404,), request=None, tags=["trainings"])
    def post(self, request: Request, training_id: uuid.UUID) -> Response:
        """Stop a training now, and make the LoRA from what was trained so far. A queued one is cancelled."""
        return self.signal(training_id, control.interrupt)
