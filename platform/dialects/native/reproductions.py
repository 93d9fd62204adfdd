"""Views of capsules and reproductions."""

from __future__ import annotations

import uuid

from django.http import HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.admission.admit import find_replay
from jobs.admission.reproduce import MissingParts, reproduce
from jobs.images.signed_urls import public_path
from jobs.models import Backend, Job, Reproduction
from jobs.reproduction.build import capsule_of
from jobs.reproduction.capsule import Capsule
from jobs.reproduction.comparison import picture_of

from .authentication import DIALECT
from .base import NativeView, json_response
from .errors import Problem
from .openapi import operation
from .request.capsule_upload import missing_problem, read_upload
from .request.uploads import record_uploads
from .response.reproduction import ReproductionView, reproduction_view
from .views import BINARY, KEY_HEADER, UNREADABLE, OneJob

FORM = {
    "type": "object",
    "properties": {
        "capsule": BINARY | {"description": "The capsule, as a file or as text."},
        "inputs": {
            "type": "array",
            "items": BINARY,
            "description": "Input images of the capsule that this source has not used here before.",
        },
        "original": BINARY
        | {
            "description": "The original image, to compare with. Not needed if its job is one of this source."
        },
    },
    "required": ["capsule"],
}


class OutputCapsule(OneJob):
    http_method_names = ["get", "head"]

    @operation("getCapsule", {200: Capsule}, problems=(404,), tags=["reproduction"])
    def get(self, request: Request, job_id: uuid.UUID, index: int) -> Response:
        """The capsule of an output: everything that is needed to draw it again, here or on another installation."""
        output = self.job(job_id).image_outputs.filter(index=index).select_related("job__workflow").first()
        if (
            output is None or output.job.backend == Backend.TRAINING
        ):  # samples of a training cannot be drawn again
            raise Problem.not_found()
        name = f"capsule-{job_id}-{index}.json"
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "private, no-store",
        }
        return json_response(capsule_of(output), headers=headers)


class Reproduce(NativeView):
    http_method_names = ["post"]
    parser_classes = [MultiPartParser]

    @operation(
        "reproduce",
        {
            201: ReproductionView,
            200: OpenApiResponse(ReproductionView, description="Of an earlier request with this key."),
        },
        problems=(*UNREADABLE, 402, 409),
        request={"multipart/form-data": FORM, "application/json": Capsule},
        parameters=[KEY_HEADER],
        tags=["reproduction"],
    )
    def post(self, request: Request) -> Response:
        """Draw the output of a capsule again, as a new job. What is missing here is named by its SHA-256."""
        upload = read_upload(request)
        source = self.key.source
        replay = find_replay(source, DIALECT, request._request, upload.fingerprint)
        if replay.job is not None:
            return self._response(replay.job, is_new=False)
        try:
            job, is_new = reproduce(upload.reproduce_request(self.key, idempotency=replay.idempotency))
        except MissingParts as missing:
            raise missing_problem(missing) from None
        record_uploads(source, upload.images)
        return self._response(job, is_new=is_new)

    def _response(self, job: Job, *, is_new: bool) -> Response:
        view = reproduction_view(Reproduction.objects.select_related("job").get(job=job))
        return json_response(view, 201 if is_new else 200, {"Location": public_path(view.url)})


class OneReproduction(NativeView):
    http_method_names = ["get", "head"]

    @operation("getReproduction", {200: ReproductionView}, problems=(404,), tags=["reproduction"])
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        """A reproduction: its job and, when that has succeeded, how far its image is from the original one."""
        return json_response(reproduction_view(self.reproduction(job_id)))

    def reproduction(self, job_id: uuid.UUID) -> Reproduction:
        own = Reproduction.objects.filter(job__source=self.key.source, job=job_id)
        found = own.select_related("job", "original").first()
        if found is None:
            raise Problem.not_found()
        return found


class DifferencePicture(OneReproduction):
    @operation("getDifference", {(200, "image/png"): BINARY}, problems=(404, 410), tags=["reproduction"])
    def get(self, request: Request, job_id: uuid.UUID) -> HttpResponse:
        """PNG of the differences between original and reproduction, scaled so that the largest one is white."""
        reproduction = self.reproduction(job_id)
        view = reproduction_view(reproduction).comparison
        if view is None or view.picture_url is None:
            raise Problem.not_found()
        picture = picture_of(reproduction)
        if picture is None:
            raise Problem(410, "gone", _("This image has been deleted."))
        headers = {"Cache-Control": "private, max-age=86400"}
        return HttpResponse(picture, content_type="image/png", headers=headers)
