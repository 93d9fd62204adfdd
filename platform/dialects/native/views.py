"""Views of jobs, images and lists: each parses the request, calls one function, and renders."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import AccessKey
from jobs.admission import idempotency
from jobs.admission.admit import admit_or_find, find_replay
from jobs.admission.quote import Quote, quote
from jobs.errors import Refused
from jobs.images.signed_urls import public_path
from jobs.models import Job
from jobs.selectors import job_get

from . import control
from .authentication import DIALECT
from .base import NativeView, json_response
from .errors import Problem
from .openapi import operation, parameters
from .request.json_body import read_query
from .request.pagination import JobPagination, JobQuery, UsageQuery, filtered
from .request.submission import JobRequest, read_submission, refused_references
from .request.uploads import output_file, record_uploads, store_upload
from .response import listings
from .response.event_stream import EventStream, Position
from .response.schemas import (
    JobDetail,
    JobPage,
    ModelList,
    QuoteView,
    SamplerList,
    SchedulerList,
    UploadedImageView,
    UsagePage,
    job_detail,
    job_summary,
    new_job_detail,
    quote_view,
)
from .response.usage import usage_page

BINARY = {"type": "string", "format": "binary"}
KEY_HEADER = OpenApiParameter(
    idempotency.HEADER,
    {"type": "string", "maxLength": 200},
    OpenApiParameter.HEADER,
    description="A repeated request with the same key returns the same job, with status 200.",
)
LAST_EVENT = OpenApiParameter(
    "Last-Event-ID",
    str,
    OpenApiParameter.HEADER,
    description="Id of the last received event; the stream resumes after it.",
)
EXAMPLE = OpenApiExample(
    "A red circle",
    value={"prompt": "a red circle on a blue background", "width": 256, "height": 256, "seed": 8},
    request_only=True,
)
UNREADABLE = (400, 413, 415, 422)


class Jobs(NativeView):
    @operation("listJobs", {200: JobPage}, problems=(422,), parameters=parameters(JobQuery), tags=["jobs"])
    def get(self, request: Request) -> Response:
        """Jobs of the source, newest first, of all APIs of the platform."""
        query = read_query(JobQuery, request)
        matching = filtered(Job.objects.filter(source=self.key.source), query)
        jobs, cursor = JobPagination(query.limit).page_of(matching, request)
        return json_response(JobPage(items=[job_summary(job) for job in jobs], next=cursor))

    @operation(
        "submitJob",
        {
            201: JobDetail,
            200: OpenApiResponse(JobDetail, description="The job of an earlier request with this id."),
        },
        problems=(*UNREADABLE, 402, 409),
        request=JobRequest,
        parameters=[KEY_HEADER],
        examples=[EXAMPLE],
        tags=["jobs"],
    )
    def post(self, request: Request) -> Response:
        """Submit a generation request. Returns at once: follow the job's events, or poll it."""
        job, is_new = _admitted(self.key, request)
        detail = new_job_detail(job) if is_new else job_detail(job)
        return json_response(detail, 201 if is_new else 200, {"Location": public_path(detail.url)})


def _admitted(key: AccessKey, request: Request) -> tuple[Job, bool]:
    """The job, and whether it is new."""
    source = key.source
    replay = find_replay(source, DIALECT, request._request)
    if replay.job is not None:
        return replay.job, False
    submission = replace(read_submission(key, request), idempotency=replay.idempotency)
    for refused in refused_references(source, submission):
        raise refused
    job, is_new = admit_or_find(submission)
    if not is_new and job.received != submission.received:
        detail = _("This id was used for a job with another request.")
        raise Problem(409, "idempotency_conflict", detail, field="external_id", job_id=str(job.pk))
    record_uploads(source, submission.input_files.keys() & submission.request.input_hashes())
    return job, is_new


class OneJob(NativeView):
    @operation("getJob", {200: JobDetail}, problems=(404,), tags=["jobs"])
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        """A job, with its outputs, its position in the queue and its state changes."""
        return json_response(job_detail(self.job(job_id)))

    @operation(
        "deleteJob",
        {200: JobDetail, 202: OpenApiResponse(JobDetail, description="A signal was sent to its runner.")},
        problems=(404,),
        tags=["jobs"],
    )
    def delete(self, request: Request, job_id: uuid.UUID) -> Response:
        """Cancel a job; the same as POST to its cancel route."""
        return self.signal(job_id, control.cancel)

    def signal(self, job_id: uuid.UUID, action: Callable[[Job], None]) -> Response:
        action(self.job(job_id))
        job = self.job(job_id)
        return json_response(job_detail(job), 200 if job.is_terminal else 202)

    def job(self, job_id: uuid.UUID) -> Job:
        try:
            return job_get(self.key.source, job_id)
        except Job.DoesNotExist:
            raise Problem.not_found() from None


STOPPED = {200: JobDetail, 202: OpenApiResponse(JobDetail, description="A signal was sent to its runner.")}


class Cancel(OneJob):
    http_method_names = ["post"]

    @operation("cancelJob", STOPPED, problems=(404,), request=None, tags=["jobs"])
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Cancel a job. A running one stops between two steps, and its images are dropped."""
        return self.signal(job_id, control.cancel)


class Interrupt(OneJob):
    http_method_names = ["post"]

    @operation("interruptJob", STOPPED, problems=(404,), request=None, tags=["jobs"])
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Stop a job, and keep its images as they are. A queued one is cancelled."""
        return self.signal(job_id, control.interrupt)


class Skip(OneJob):
    http_method_names = ["post"]

    @operation("skipBatch", STOPPED, problems=(404, 409), request=None, tags=["jobs"])
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Stop the current batch, and continue with the next one."""
        return self.signal(job_id, control.skip)


class Events(OneJob):
    http_method_names = ["get"]

    @operation(
        "followJob",
        {
            (200, "text/event-stream"): OpenApiResponse(str, description="Server-sent events."),
            204: OpenApiResponse(description="The job has ended, and Last-Event-ID is its last event."),
        },
        problems=(404,),
        parameters=[LAST_EVENT],
        tags=["jobs"],
    )
    def get(self, request: Request, job_id: uuid.UUID) -> HttpResponseBase:
        """Server-sent events: state, progress, preview, and at last end, which has the job."""
        job, position = self.job(job_id), Position.after(request.headers.get("Last-Event-ID", ""))
        if job.is_terminal and position.ended:
            return HttpResponse(status=204)  # stops an EventSource from reconnecting
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingHttpResponse(
            EventStream(job, position), content_type="text/event-stream", headers=headers
        )


IMAGE_FILE = {
    (200, "image/png"): BINARY,
    (200, "image/jpeg"): BINARY,
    (200, "image/webp"): BINARY,
    (200, "image/avif"): BINARY,
    304: OpenApiResponse(description="If-None-Match is the ETag."),
}


class OneOutput(OneJob):
    http_method_names = ["get", "head"]

    @operation("getOutput", IMAGE_FILE, problems=(404, 410), tags=["jobs"])
    def get(self, request: Request, job_id: uuid.UUID, index: int) -> HttpResponseBase:
        """The file of an output. It never changes."""
        output = self.job(job_id).image_outputs.filter(index=index).first()
        if output is None:
            raise Problem.not_found()
        return output_file(output, request)


class OneExtra(OneJob):
    http_method_names = ["get", "head"]

    @operation("getExtra", IMAGE_FILE, problems=(404, 410), tags=["jobs"])
    def get(self, request: Request, job_id: uuid.UUID, index: int) -> HttpResponseBase:
        """The file of an extra image. It never changes."""
        output = self.job(job_id).extra_outputs.filter(index=index).first()
        if output is None:
            raise Problem.not_found()
        return output_file(output, request)


class Uploads(NativeView):
    parser_classes = [MultiPartParser]

    @operation(
        "uploadPicture",
        {201: UploadedImageView, 200: OpenApiResponse(UploadedImageView, description="Uploaded before.")},
        problems=UNREADABLE,
        request={
            "image/*": BINARY,
            "multipart/form-data": {
                "type": "object",
                "properties": {"file": BINARY},
                "required": ["file"],
            },
        },
        tags=["pictures"],
    )
    def post(self, request: Request) -> Response:
        """Upload an input image. Requests of this source reference it by its SHA-256."""
        sha256, is_new = store_upload(self.key.source, request)
        return json_response(UploadedImageView(sha256=sha256), 201 if is_new else 200)


class Quotes(NativeView):
    @operation(
        "quote", {200: QuoteView}, problems=UNREADABLE, request=JobRequest, examples=[EXAMPLE], tags=["jobs"]
    )
    def post(self, request: Request) -> Response:
        """Price and estimated time of a job, and every reason why it would be refused. Nothing is stored."""
        try:
            submission = read_submission(self.key, request)
        except Refused as refused:
            return json_response(quote_view(Quote([refused]), []))
        return json_response(quote_view(quote(submission), refused_references(self.key.source, submission)))


class Models(NativeView):
    @operation(
        "listModels",
        {200: ModelList},
        problems=(422,),
        parameters=parameters(listings.ModelQuery),
        tags=["lists"],
    )
    def get(self, request: Request) -> Response:
        """Model files that this source may use."""
        return json_response(
            listings.models(self.key.source, read_query(listings.ModelQuery, request), self.key)
        )


class Samplers(NativeView):
    @operation(
        "listSamplers",
        {200: SamplerList},
        problems=(422,),
        parameters=parameters(listings.MenuQuery),
        tags=["lists"],
    )
    def get(self, request: Request) -> Response:
        query = read_query(listings.MenuQuery, request)
        return json_response(listings.samplers(listings.family_of_menu(self.key.source, query)))


class Schedulers(NativeView):
    @operation(
        "listSchedulers",
        {200: SchedulerList},
        problems=(422,),
        parameters=parameters(listings.MenuQuery),
        tags=["lists"],
    )
    def get(self, request: Request) -> Response:
        query = read_query(listings.MenuQuery, request)
        return json_response(listings.schedulers(listings.family_of_menu(self.key.source, query)))


class Usage(NativeView):
    @operation(
        "getUsage", {200: UsagePage}, problems=(422,), parameters=parameters(UsageQuery), tags=["lists"]
    )
    def get(self, request: Request) -> Response:
        """Daily usage of the source in UTC, newest first."""
        days, cursor = usage_page(self.key.source, read_query(UsageQuery, request), request)
        return json_response(UsagePage(items=days, next=cursor))
