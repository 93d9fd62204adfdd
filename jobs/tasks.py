"""What django-q2 calls."""

from __future__ import annotations

import logging
import time
import uuid

from django_q.exceptions import TimeoutException

from gpu_runner import logs

from .errors import LeaseLost
from .execution import lifecycle
from .execution.job_execution import JobExecution
from .execution.lifecycle import Lease
from .execution.runner_client import NeverAccepted, RunnerBusy, RunnerDied, RunnerRefused, RunnerUnreachable
from .execution.sweep import sweep

log = logging.getLogger(__name__)

REQUEUE_DELAY_S = 0.5  # before a job goes back to a runner that would not take it just now

__all__ = ["run_job", "sweep"]


def run_job(job_id: str, attempt: int) -> None:
    """Follows one attempt of a job to its end. Whatever happens, the job is moved, or it is somebody else's."""
    lease = Lease(uuid.UUID(job_id), attempt)
    with logs.about(job_id):
        log.info("attempt %d begins", attempt)
        try:
            _follow(lease)
        except LeaseLost:
            log.warning("job %s: attempt %d is no longer ours", job_id, attempt)


def _follow(lease: Lease) -> None:
    try:
        JobExecution(lease).run()
    except LeaseLost:
        raise
    except (RunnerBusy, RunnerUnreachable) as error:
        time.sleep(REQUEUE_DELAY_S)
        lifecycle.requeue(lease, note=f"not taken by the runner: {error}")
    except NeverAccepted as error:
        log.warning("job %s: %s", lease.job_id, error)
        lifecycle.requeue(lease, note=lifecycle.NEVER_ACCEPTED)
    except RunnerDied as error:
        lifecycle.requeue(lease, note=f"the runner died: {error}", runner_died=True)
    except RunnerRefused as error:
        log.error("job %s: the runner refused the order: %s", lease.job_id, error)
        lifecycle.fail(lease, "runner_refused", "The runner did not accept the job.")
    except (TimeoutError, TimeoutException):
        lifecycle.fail(lease, "timeout", "The job took too long.")
    except Exception:
        log.exception("job %s failed", lease.job_id)
        lifecycle.fail(lease, "internal", "An internal error ended the job.")
