"""Views of trainings: submit and query."""

from __future__ import annotations

from dataclasses import replace

from rest_framework.request import Request
from rest_framework.response import Response

from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.base import ZhiqiteView
from dialects.zhiqite.errors import success
from dialects.zhiqite.request.json_body import read
from jobs.admission.admit import find_replay
from jobs.images.signed_urls import base_url
from jobs.training.submission import submit

from .fields import SubmitTraining, TrainingQuery
from .result import find_training, training_result
from .submission import WIRE_NAMES, note, read_training


class Submit(ZhiqiteView):
    """Starts a training. The same ``Idempotency-Key`` finds the same training."""

    wire_names = WIRE_NAMES

    def post(self, request: Request) -> Response:
        replay = find_replay(self.key.source, DIALECT, request._request)
        if replay.job is not None:
            return _started(replay.job.external_id, None)
        body = read(SubmitTraining, request)
        training = read_training(self.key, body, base_url(request._request))
        job, _is_new = submit(replace(training, idempotency=replay.idempotency))
        return _started(job.external_id, note(body))


class Query(ZhiqiteView):
    def post(self, request: Request) -> Response:
        training = find_training(self.key, read(TrainingQuery, request).taskId)
        return success(training_result(training, base_url(request._request)))


def _started(task_id: str, note: str | None) -> Response:
    return success({"task_id": task_id, "taskId": task_id, "note": note})
