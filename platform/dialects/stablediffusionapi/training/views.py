"""Views of trainings: start, status, list, cancel, and delete the result."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from dialects.stablediffusionapi.authentication import DIALECT
from dialects.stablediffusionapi.base import StableDiffusionApiView
from dialects.stablediffusionapi.errors import WireError, message_fields
from dialects.stablediffusionapi.refusals import refusal
from jobs.admission.admit import find_replay
from jobs.errors import Refused
from jobs.execution import lifecycle
from jobs.models import Training
from jobs.training.selectors import delete_result, trainings_of
from jobs.training.submission import price, submit

from . import sandbox
from .states import CANCELLED, DEPLOYING_GPU, log_of, row, state_of
from .submission import Parsed, read, training_refusal

NEWEST = 100
CANCEL_NOTE = "cancelled by its client"
STARTED = "The training was queued."


class Train(StableDiffusionApiView):
    """Starts a training. ``form``: whose fields the request has. The same ``Idempotency-Key`` finds the same training."""

    form = "lora_fine_tune"

    def post(self, request: Request) -> Response:
        try:
            replay = find_replay(self.source, DIALECT, request._request)
        except Refused as refused:
            raise refusal(refused, self.edition, "") from refused
        if replay.job is not None:
            return _started(replay.job.external_id, [])
        parsed = self.parsed()
        try:
            job, _is_new = submit(replace(parsed.request, idempotency=replay.idempotency))
        except Refused as refused:
            raise training_refusal(refused, self.form, parsed.request.base) from refused
        return _started(job.external_id, parsed.notes)

    def parsed(self) -> Parsed:
        try:
            return read(self.form, self.key, self.given, self.base_url)
        except Refused as refused:
            raise training_refusal(refused, self.form, "") from refused


class SandboxTrain(Train):
    """Checks the request as a training does, and starts none."""

    def post(self, request: Request) -> Response:
        parsed = self.parsed()
        for refused in price(parsed.request).refusals:
            raise training_refusal(refused, self.form, parsed.request.base)
        notes = [_("Sandbox: nothing is trained."), *parsed.notes]
        if parsed.request.callback:
            notes.append(_("webhook has no effect in the sandbox."))
        return _started(sandbox.new_id(), notes)


class OneTraining(StableDiffusionApiView):
    """Base of the views of one training, whose id is in the path or the body."""

    def training(self, training_id: str) -> Training:
        wanted = training_id or str(self.given.get("training_id") or "")
        own = trainings_of(self.source).filter(job__dialect=DIALECT)
        training = own.filter(job__external_id=wanted).first() if _is_id(wanted) else None
        if training is None:
            raise not_found()
        return training


class Status(OneTraining):
    http_method_names = ["get", "post"]

    def post(self, request: Request, training_id: str = "") -> Response:
        training = self.training(training_id)
        return _answer(state_of(training), log_of(training), training.job.external_id)

    get = post


class Cancel(OneTraining):
    def post(self, request: Request, training_id: str = "") -> Response:
        training = self.training(training_id)
        if training.job.is_terminal:
            raise WireError(
                409, _("The training has ended already: %(state)s.") % {"state": state_of(training)}
            )
        lifecycle.cancel(training.job.pk, note=CANCEL_NOTE)
        data = _("The training is being cancelled. The steps that were done are billed.")
        return _answer(CANCELLED, data, training.job.external_id)


class Delete(OneTraining):
    http_method_names = ["post", "delete"]

    def post(self, request: Request, training_id: str = "") -> Response:
        training = self.training(training_id)
        if not delete_result(training):
            detail = _("There is no model to delete: it is not trained yet, deleted already, or shared.")
            raise WireError(409, detail)
        return _answer("model deleted", _("The model was deleted."), training.job.external_id)

    delete = post


class Listing(StableDiffusionApiView):
    http_method_names = ["get", "post"]

    def post(self, request: Request) -> Response:
        own = trainings_of(self.source).filter(job__dialect=DIALECT)[:NEWEST]
        return Response(
            {"status": "success", **message_fields("model list"), "data": [row(each) for each in own]}
        )

    get = post


class SandboxStatus(StableDiffusionApiView):
    http_method_names = ["get", "post"]

    def post(self, request: Request, training_id: str = "") -> Response:
        training_id = training_id or str(self.given.get("training_id") or "")
        found = sandbox.status(training_id)
        if found is None:
            raise not_found()
        return _answer(found["state"], found["log"], training_id)

    get = post


def not_found() -> WireError:
    return WireError(404, "Training not found", code=404)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isalnum() and len(text) <= 40


def _started(training_id: str, notes: list[str]) -> Response:
    return _answer(DEPLOYING_GPU, STARTED, training_id, tip=" ".join(notes))


def _answer(message: str, data: str, training_id: str, **more: Any) -> Response:
    return Response(
        {"status": "success", **message_fields(message), "data": data, "training_id": training_id, **more}
    )
