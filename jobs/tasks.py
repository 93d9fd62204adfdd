"""django-q2 task functions."""

from __future__ import annotations

import logging
import time
import uuid

from django.conf import settings
from django_q.exceptions import TimeoutException

from gpu_runner import logs

from .errors import LeaseLost
from .execution import lifecycle
from .execution.job_execution import JobExecution
from .execution.lifecycle import Lease
from .execution.outages import OUTAGES, through_outage
from .execution.runner_client import NeverAccepted, RunnerBusy, RunnerDied, RunnerRefused, RunnerUnreachable
from .execution.sweep import sweep

log = logging.getLogger(__name__)

REQUEUE_DELAY_S = 0.5  # after RunnerBusy or RunnerUnreachable

__all__ = ["run_job", "sweep"]


def run_job(job_id: str, attempt: int) -> None:
    """Execute one attempt of a job.

    On any error the job is requeued or failed, unless the lease was lost to another worker.
    """
    lease = Lease(uuid.UUID(job_id), attempt)
    with logs.about(job_id):
        log.info("attempt %d starts", attempt)
        try:
            lifecycle.begin(lease)
            _execute(lease)
        except LeaseLost:
            log.warning("job %s: attempt %d lost its lease", job_id, attempt)


def _execute(lease: Lease) -> None:
    try:
        JobExecution(lease).run()
    except LeaseLost:
        raise
    except (RunnerBusy, RunnerUnreachable) as error:
        time.sleep(REQUEUE_DELAY_S)
        lifecycle.requeue(lease, note=f"not accepted by the runner: {error}")
    except NeverAccepted as error:
        log.warning("job %s: %s", lease.job_id, error)
        lifecycle.requeue(lease, note=lifecycle.NEVER_ACCEPTED)
    except RunnerDied as error:
        lifecycle.requeue(lease, note=f"the runner died: {error}", runner_died=True)
    except RunnerRefused as error:
        log.error("job %s: the runner rejected the run request: %s", lease.job_id, error)
        lifecycle.fail(lease, "runner_refused", "The runner did not accept the job.")
    except (TimeoutError, TimeoutException):
        lifecycle.fail(lease, "timeout", "The job exceeded its time limit.")
    except OUTAGES:
        log.exception("job %s: the database was not reachable", lease.job_id)
        note = "the database was not reachable"
        through_outage(lambda: lifecycle.requeue(lease, note=note), settings.JOB_LEASE_S)
    except Exception:
        log.exception("job %s failed", lease.job_id)
        lifecycle.fail(lease, "internal", "Internal error.")
