"""Views of generation, fetch and lists: each parses the parameters, calls one function, and renders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import BusinessSource
from dialects.waiting import wait_for_end
from jobs.admission.admit import Replay, find_replay
from jobs.admission.workflows.routing import makes_videos
from jobs.errors import Refused
from jobs.execution.thread_shares import NoFreeThread
from jobs.models import Job, Lane
from models_registry.errors import ModelNotFound
from models_registry.models import Kind
from models_registry.selectors import resolve

from .authentication import DIALECT
from .base import StableDiffusionApiView
from .coercion import Invalid, is_absent, text
from .endpoints import ENDPOINTS, Endpoint
from .errors import WireError, message_fields
from .refusals import model_not_found, refusal, refused_endpoint
from .refused_tools import VIDEO
from .request.fields import required
from .request.submission import read_submission
from .request.uploads import upload
from .response import listings
from .response.job import fetch_response, job_response
from .response.numeric_ids import admit_with_number, job_by_number

NOT_FOUND = "Request not found"
READY = "The model is ready."


def waited(request: Request, job: Job, timeout_s: float) -> Job:
    """The job after its end, or as it is if the time is over or too many requests wait: the response is "processing"."""
    try:
        return wait_for_end(request._request, job, timeout_s)
    except NoFreeThread:
        return job


class Generation(StableDiffusionApiView):
    """Submits a job and waits for it, up to STABLEDIFFUSIONAPI_WAIT_S. The same ``Idempotency-Key`` finds the same job."""

    def post(self, request: Request) -> Response:
        replay = self._replay(request)
        job = replay.job or self._admitted(replay)
        timeout_s = 0.0 if job.lane != Lane.INTERACTIVE else settings.STABLEDIFFUSIONAPI_WAIT_S
        return Response(job_response(waited(request, job, timeout_s), self.base_url))

    def _replay(self, request: Request) -> Replay:
        try:
            return find_replay(self.source, DIALECT, request._request)
        except Refused as refused:
            raise refusal(refused, self.edition, "") from refused

    def _admitted(self, replay: Replay) -> Job:
        submission = read_submission(ENDPOINTS[self.path], self.key, self.given, self.base_url)
        try:
            return admit_with_number(replace(submission, idempotency=replay.idempotency))
        except Refused as refused:
            raise refusal(refused, self.edition, submission.request.checkpoint) from refused


class VideoGeneration(Generation):
    """Makes a video, where a workflow template of ComfyUI does that; refused before the parameters are read elsewhere."""

    def _admitted(self, replay: Replay) -> Job:
        purpose = "img2video" if ENDPOINTS[self.path].task == "img2video" else "txt2video"
        if not makes_videos(DIALECT, self.path, purpose, self.source):
            raise refused_endpoint(self.path, VIDEO)
        return super()._admitted(replay)


def of_endpoint(endpoint: Endpoint) -> type[Generation]:
    """View of a generation endpoint."""
    return VideoGeneration if endpoint.makes_videos else Generation


class Fetch(StableDiffusionApiView):
    """Response for a job. Waits for it as long as the generation request does."""

    http_method_names = ["get", "post"]

    def post(self, request: Request, number: str = "") -> Response:
        request_id = number or str(self.given.get("request_id") or self.given.get("id") or "")
        if not request_id:
            raise WireError.invalid({"request_id": [required("request_id")]})
        job = job_by_number(self.source, request_id)
        if job is None:
            raise WireError(404, NOT_FOUND)
        ended = waited(request, job, settings.STABLEDIFFUSIONAPI_WAIT_S)
        return Response(fetch_response(ended, self.base_url))

    get = post


class Listing(StableDiffusionApiView):
    rows: Callable[[BusinessSource], Any] = staticmethod(listings.model_rows)

    def post(self, request: Request) -> Response:
        return Response(self.rows(self.source))


class ModelReload(StableDiffusionApiView):
    """Checks that a model exists. Runners load models on demand, so that there is nothing to reload."""

    def post(self, request: Request) -> Response:
        if is_absent(self.given.get("model_id")):
            raise WireError.invalid({"model_id": [required("model_id")]})
        try:
            name = text(self.given["model_id"])
            resolve(Kind.CHECKPOINT, name, self.source, dialect=DIALECT)
        except Invalid as invalid:
            raise WireError.invalid({"model_id": [f"The model id {invalid.reason}"]}) from None
        except ModelNotFound:
            raise model_not_found(self.edition, name) from None
        return Response({"status": "success", **message_fields(READY)})


class Crop(StableDiffusionApiView):
    def post(self, request: Request) -> Response:
        return Response(upload(self.given, self.base_url))


class UnavailableEndpoint(StableDiffusionApiView):
    """Endpoints of the vendor that this platform does not have. The key is checked first."""

    http_method_names = ["get", "post", "put", "delete"]

    def post(self, request: Request, **_parts: str) -> Response:
        message = _("This endpoint is not available: %(path)s")
        raise WireError(404, message % {"path": f"/api/{self.path}"})

    get = put = delete = post
