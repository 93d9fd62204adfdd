"""Jobs, pictures, lists: each parses, calls one function, renders."""

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
from jobs.admission.quote import quote
from jobs.models import Job
from jobs.selectors import job_get

from . import control
from .authentication import DIALECT
from .base import NativeView, shown
from .errors import Problem
from .openapi import operation, parameters
from .request.json_body import read_query
from .request.pagination import JobPagination, JobQuery, UsageQuery, filtered
from .request.submission import JobRequest, foreign_pictures, read_submission
from .request.uploads import output_file, remember, store_upload
from .response import listings
from .response.event_stream import EventStream, Position
from .response.schemas import (
    JobDetail,
    JobPage,
    ModelList,
    PictureView,
    QuoteView,
    SamplerList,
    SchedulerList,
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
    description="The same key again gives the same job, and status 200.",
)
LAST_EVENT = OpenApiParameter(
    "Last-Event-ID", str, OpenApiParameter.HEADER, description="Where the stream is taken up again."
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
        """The source's jobs, the newest first, through whichever API they came."""
        query = read_query(JobQuery, request)
        found = filtered(Job.objects.filter(source=self.key.source), query)
        jobs, cursor = JobPagination(query.limit).page_of(found, request)
        return shown(JobPage(items=[job_summary(job) for job in jobs], next=cursor))

    @operation(
        "submitJob",
        {201: JobDetail, 200: OpenApiResponse(JobDetail, description="The id had named this job already.")},
        problems=(*UNREADABLE, 402, 409),
        request=JobRequest,
        parameters=[KEY_HEADER],
        examples=[EXAMPLE],
        tags=["jobs"],
    )
    def post(self, request: Request) -> Response:
        """Submit a generation request. Nobody waits here: follow the job by its events, or ask for it."""
        job, is_new = _admitted(self.key, request)
        detail = new_job_detail(job) if is_new else job_detail(job)
        return shown(detail, 201 if is_new else 200, {"Location": detail.url})


def _admitted(key: AccessKey, request: Request) -> tuple[Job, bool]:
    """The job, and whether it is new."""
    source = key.source
    replay = find_replay(source, DIALECT, request._request)
    if replay.job is not None:
        return replay.job, False
    submission = replace(read_submission(key, request), idempotency=replay.idempotency)
    for refused in foreign_pictures(source, submission):
        raise refused
    job, is_new = admit_or_find(submission)
    if not is_new and job.received != submission.received:
        detail = _("This id has named a job with another request.")
        raise Problem(409, "idempotency_conflict", detail, field="external_id", job_id=str(job.pk))
    remember(source, submission.pictures.keys() & submission.request.pictures())
    return job, is_new


class OneJob(NativeView):
    @operation("getJob", {200: JobDetail}, problems=(404,), tags=["jobs"])
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        """One job, with its pictures, its place in the queue and its timeline."""
        return shown(job_detail(self.job(job_id)))

    @operation(
        "deleteJob",
        {200: JobDetail, 202: OpenApiResponse(JobDetail, description="Its runner was told.")},
        problems=(404,),
        tags=["jobs"],
    )
    def delete(self, request: Request, job_id: uuid.UUID) -> Response:
        """Cancel a job; as POST to its cancel."""
        return self.told(job_id, control.cancel)

    def told(self, job_id: uuid.UUID, what: Callable[[Job], None]) -> Response:
        what(self.job(job_id))
        job = self.job(job_id)
        return shown(job_detail(job), 200 if job.is_terminal else 202)

    def job(self, job_id: uuid.UUID) -> Job:
        try:
            return job_get(self.key.source, job_id)
        except Job.DoesNotExist:
            raise Problem.not_found() from None


STOPPED = {200: JobDetail, 202: OpenApiResponse(JobDetail, description="Its runner was told.")}


class Cancel(OneJob):
    http_method_names = ["post"]

    @operation("cancelJob", STOPPED, problems=(404,), request=None, tags=["jobs"])
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """End a job. One that runs stops between two steps, and its pictures are dropped."""
        return self.told(job_id, control.cancel)


class Interrupt(OneJob):
    http_method_names = ["post"]

    @operation("interruptJob", STOPPED, problems=(404,), request=None, tags=["jobs"])
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Stop a job and keep its pictures as they are. One that still waits is cancelled."""
        return self.told(job_id, control.interrupt)


class Skip(OneJob):
    http_method_names = ["post"]

    @operation("skipBatch", STOPPED, problems=(404, 409), request=None, tags=["jobs"])
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Stop the batch under way, and begin with the next."""
        return self.told(job_id, control.skip)


class Events(OneJob):
    http_method_names = ["get"]

    @operation(
        "followJob",
        {
            (200, "text/event-stream"): OpenApiResponse(str, description="Server-sent events."),
            204: OpenApiResponse(description="It has ended, and Last-Event-ID was the last event."),
        },
        problems=(404,),
        parameters=[LAST_EVENT],
        tags=["jobs"],
    )
    def get(self, request: Request, job_id: uuid.UUID) -> HttpResponseBase:
        """Events: state, progress, preview; end, with the job, is the last."""
        job, seen = self.job(job_id), Position.after(request.headers.get("Last-Event-ID", ""))
        if job.is_terminal and seen.ended:
            return HttpResponse(status=204)  # tells an EventSource not to come back
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingHttpResponse(
            EventStream(job, seen), content_type="text/event-stream", headers=headers
        )


class OneOutput(OneJob):
    http_method_names = ["get", "head"]

    @operation(
        "getOutput",
        {
            (200, "image/png"): BINARY,
            (200, "image/jpeg"): BINARY,
            (200, "image/webp"): BINARY,
            304: OpenApiResponse(description="If-None-Match was its ETag."),
        },
        problems=(404, 410),
        tags=["jobs"],
    )
    def get(self, request: Request, job_id: uuid.UUID, index: int) -> HttpResponseBase:
        """The bytes of one picture. It never changes."""
        output = self.job(job_id).pictures.filter(index=index).first()
        if output is None:
            raise Problem.not_found()
        return output_file(output, request)


class Pictures(NativeView):
    parser_classes = [MultiPartParser]

    @operation(
        "uploadPicture",
        {201: PictureView, 200: OpenApiResponse(PictureView, description="Sent before.")},
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
        """Store an input picture, to be named by its SHA-256 in requests of this source."""
        sha256, is_new = store_upload(self.key.source, request)
        return shown(PictureView(sha256=sha256), 201 if is_new else 200)


class Quotes(NativeView):
    @operation(
        "quote", {200: QuoteView}, problems=UNREADABLE, request=JobRequest, examples=[EXAMPLE], tags=["jobs"]
    )
    def post(self, request: Request) -> Response:
        """What a job would cost, when it would be done, and all that speaks against it. Nothing is stored."""
        submission = read_submission(self.key, request)
        return shown(quote_view(quote(submission), foreign_pictures(self.key.source, submission)))


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
        return shown(listings.models(self.key.source, read_query(listings.ModelQuery, request)))


class Samplers(NativeView):
    @operation("listSamplers", {200: SamplerList}, tags=["lists"])
    def get(self, request: Request) -> Response:
        return shown(listings.samplers())


class Schedulers(NativeView):
    @operation("listSchedulers", {200: SchedulerList}, tags=["lists"])
    def get(self, request: Request) -> Response:
        return shown(listings.schedulers())


class Usage(NativeView):
    @operation(
        "getUsage", {200: UsagePage}, problems=(422,), parameters=parameters(UsageQuery), tags=["lists"]
    )
    def get(self, request: Request) -> Response:
        """What the source used, day by day in UTC, the newest first."""
        days, cursor = usage_page(self.key.source, read_query(UsageQuery, request), request)
        return shown(UsagePage(items=days, next=cursor))
