"""The result of a training while its job runs: the curve of the loss, and the file."""

from __future__ import annotations

import time

from gpu_runner.protocol import Progress, TrainedFile
from jobs.models import Job, State, Training
from jobs.trained_files import installation
from jobs.trained_files.reception import DamagedFile, Reception

WRITE_EVERY_S = 2.0
MAX_POINTS = 400
Point = tuple[int, float]


class TrainedResult:
    """Receives the result of one attempt. ``job``: running, with its training."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._losses: list[Point] = [(int(step), float(loss)) for step, loss in job.training.losses]
        self._next_write = 0.0
        self._reception: Reception | None = None

    def note(self, progress: Progress) -> None:
        """Add a point to the curve. A resumed training repeats steps that an earlier attempt has reported."""
        if progress.loss is None:
            return
        self._losses = with_point(self._losses, (progress.step, progress.loss))
        is_last = progress.step >= progress.steps
        if is_last or time.monotonic() >= self._next_write:
            self._next_write = time.monotonic() + WRITE_EVERY_S
            self._write()

    def add(self, part: TrainedFile) -> None:
        """Add a part of the file. Raises DamagedFile."""
        if self._reception is None:
            self._reception = Reception(self._job.pk, self._job.attempt)
        self._reception.add(part)

    def install(self) -> None:
        """Register the file, for the job's source, disabled. Raises InstallError, DamagedFile or LeaseLost."""
        if self._reception is None or not self._reception.is_complete:
            raise DamagedFile("the runner has not sent the whole file")
        self._write()
        installation.install(self._job, self._reception.path)

    def discard(self) -> None:
        """Delete what was received and not registered."""
        if self._reception is not None:
            self._reception.discard()

    def _write(self) -> None:
        held = Job.objects.filter(pk=self._job.pk, state=State.RUNNING, attempt=self._job.attempt)
        Training.objects.filter(job__in=held.values("pk")).update(losses=self._losses)


def with_point(points: list[Point], point: Point) -> list[Point]:
    """The curve with a further point, at most MAX_POINTS long: every other point goes when there are more."""
    kept = [known for known in points if known[0] < point[0]]
    if len(kept) >= MAX_POINTS:
        kept = kept[::2]
    return [*kept, point]
