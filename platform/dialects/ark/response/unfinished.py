"""Jobs whose client has waited for the maximum time, or has disconnected. This API has no route to ask for a result."""

from __future__ import annotations

import contextlib

from django.utils.translation import gettext as _

from dialects.ark.errors import INTERNAL, NO_RETRY, ArkError
from jobs.execution import lifecycle
from jobs.models import Job


def give_up(job: Job, *, can_be_repeated: bool) -> ArkError:
    """Cancel the job unless a repeated request would find it (``Idempotency-Key``). Returns the error to answer."""
    if can_be_repeated:
        message = _(
            "The job takes longer than the maximum wait. Repeat the request with its Idempotency-Key."
        )
        return ArkError(504, INTERNAL, message)
    with contextlib.suppress(Job.DoesNotExist):  # deleted meanwhile
        lifecycle.cancel(job.pk, note="cancelled: not finished within the maximum wait")
    message = _("The job took longer than the maximum wait and was cancelled. Send an Idempotency-Key.")
    return ArkError(504, INTERNAL, message, headers=NO_RETRY)
