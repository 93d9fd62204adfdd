"""The error of a request whose job takes longer than it may wait. The job goes on."""

from __future__ import annotations

from django.utils.translation import gettext as _

from dialects.openai.errors import SERVER_ERROR, APIError
from dialects.waiting import RETRY_AFTER_S
from jobs.models import Job


def still_running(job: Job) -> APIError:
    """Has the job's id. SDKs must not send the request again: that would be another job."""
    message = _("The job is still running: get its images from GET /v1/images/generations/%(id)s.")
    more = {"code": "still_running", "retry_after": RETRY_AFTER_S, "may_retry": False, "job_id": str(job.pk)}
    return APIError(504, SERVER_ERROR, message % {"id": job.pk}, **more)
