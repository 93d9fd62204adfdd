"""Streams that answer the request of a job."""

import pytest

from dialects.job_stream import JobStream, StreamSlot, sse_event
from jobs.admission.admit import admit
from jobs.execution import lifecycle
from jobs.execution.thread_shares import NoFreeThread, event_streams
from jobs.models import Job, Preview, State


class States(JobStream):
    def on_preview(self, jpeg):
        yield sse_event({"preview": jpeg.decode()})

    def on_end(self):
        yield sse_event(self.job.state, "end")


@pytest.fixture
def job(submission):
    return admit(submission())


def test_event_is_framed():
    assert sse_event({"a": "é\n"}, "x") == 'event: x\ndata: {"a": "é\\n"}\n\n'
    assert sse_event("[DONE]") == "data: [DONE]\n\n"


def test_slot_is_released_once(job, settings):
    settings.EVENT_STREAMS_PER_SOURCE = 1
    stream = States(job, StreamSlot(job.source_id))
    with pytest.raises(NoFreeThread):
        StreamSlot(job.source_id)
    stream.close()
    stream.close()
    assert event_streams.held_by(job.source_id) == 0


def test_ended_job_has_only_its_end(job):
    lifecycle.cancel(job.pk, note="")
    job.refresh_from_db()
    stream = States(job, StreamSlot(job.source_id))
    assert list(stream) == [sse_event(State.CANCELLED.value, "end")]
    assert event_streams.held_by(job.source_id) == 0


@pytest.mark.django_db(transaction=True)
def test_preview_is_sent_once_a_step_and_an_unfinished_job_ends_the_stream(job, settings):
    settings.JOB_WAIT_S, settings.EVENT_HEARTBEAT_S = 0.6, 100
    Job.objects.filter(pk=job.pk).update(step=3)
    Preview.objects.create(job=job, jpeg=b"small")
    stream = States(job, StreamSlot(job.source_id))
    assert list(stream) == [sse_event({"preview": "small"}), sse_event(State.QUEUED.value, "end")]
    stream.close()
