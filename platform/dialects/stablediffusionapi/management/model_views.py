"""Views that load, verify and delete models of the key's source."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import BusinessSource
from dialects.stablediffusionapi.base import StableDiffusionApiView
from dialects.stablediffusionapi.coercion import Invalid, is_absent, short_text
from dialects.stablediffusionapi.errors import WireError, message_fields
from dialects.stablediffusionapi.refusals import model_not_found, refusal
from dialects.stablediffusionapi.request.fields import field_label, required
from jobs.errors import QueueFull, Refused
from jobs.model_intake import removal
from jobs.model_intake.submission import KINDS, submit
from jobs.models import IntakeState, ModelIntake
from models_registry.errors import ModelNotFound
from models_registry.models import ModelFile
from models_registry.selectors import resolve

from . import model_loading
from .views import Managing, completed

STARTED = "model load started"
READY = "model_ready"
LOADING = "deploying_model"


class LoadModel(Managing):
    """Starts to load a model from a URL. ``form``: whose fields the request has."""

    form = "load_model"

    def post(self, request: Request) -> Response:
        parsed = model_loading.read(self.form, self.key, self.given, self.base_url)
        try:
            intake = submit(parsed.request)
        except QueueFull as refused:
            raise refusal(refused, self.edition, "") from refused
        except Refused as refused:
            name = model_loading.wire_name(self.form, refused.field or "url")
            raise WireError.invalid({name: [refused.message_naming(name)]}) from refused
        return completed(STARTED, id=str(intake.pk), model_id=intake.name, tip=" ".join(parsed.notes))


class VerifyModel(StableDiffusionApiView):
    """Whether a model is ready, being loaded, or could not be loaded, and why."""

    def post(self, request: Request) -> Response:
        name = _model_id(self.given)
        # The intake first: it may end between the two queries, and its model is usable before that.
        intakes = ModelIntake.objects.filter(source=self.source, name=name)
        intake = intakes.order_by("-created_at").first()
        file = _usable(self.source, name)
        if file is not None:
            return completed(READY, model_id=name, kind=str(file.get_kind_display()))
        if intake is None or intake.state == IntakeState.READY:  # then it was deleted
            raise model_not_found(self.edition, name)
        if intake.state == IntakeState.FAILED:
            raise WireError(400, intake.error, model_id=name)
        progress = {"received_bytes": intake.received_bytes, "total_bytes": intake.total_bytes}
        return Response({"status": "processing", **message_fields(LOADING), "model_id": name, **progress})


class DeleteModel(Managing):
    """Disables a model that this source has loaded."""

    def post(self, request: Request) -> Response:
        name = _model_id(self.given)
        file = removal.own_model(self.source, name)
        if file is None:
            if _usable(self.source, name) is not None:
                raise WireError(403, _("Only models that this source has loaded can be deleted."))
            raise model_not_found(self.edition, name)
        removal.disable(file)
        return completed("model deleted", model_id=name)


def _model_id(given: dict[str, Any]) -> str:
    if is_absent(given.get("model_id")):
        raise WireError.invalid({"model_id": [required("model_id")]})
    try:
        return short_text(given["model_id"])
    except Invalid as invalid:
        raise WireError.invalid({"model_id": [f"The {field_label('model_id')} {invalid.reason}"]}) from None


def _usable(source: BusinessSource, name: str) -> ModelFile | None:
    for kind in KINDS:
        try:
            return resolve(kind, name, source)
        except ModelNotFound:
            continue
    return None
