"""Training jobs through worker processes, with the demo checkpoint: meaning, cancellation, kills."""

from __future__ import annotations

import base64
import io
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from gpu_runner.protocol import Event, Failed, Progress, RunRequest, TrainedFile
from gpu_runner.training.backend import TrainingBackend
from tests.support.demo_engine import DEMO_MODELS, demo_checkpoint
from tests.support.training_jobs import PINK, TEAL, pink_discs, training_job

pytestmark = [pytest.mark.demo, pytest.mark.processes, pytest.mark.slow]


class Attempt:
    """Events of one job. ``until(predicate)`` waits for an event, ``end()`` for the last one."""

    def __init__(self, backend: TrainingBackend, job: RunRequest) -> None:
        self.events: list[Event] = []
        self._changed = threading.Condition()
        self.handle = backend.submit(job, self._add)

    def _add(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def until(self, wanted: Callable[[Event], bool]) -> Event:
        with self._changed:
            self._changed.wait_for(lambda: any(map(wanted, self.events)) or self._over)
        return next(filter(wanted, self.events))

    def end(self) -> Event:
        return self.until(lambda event: event.type in ("done", "failed"))

    @property
    def _over(self) -> bool:
        return any(event.type in ("done", "failed") for event in self.events)

    def file(self) -> bytes:
        end = self.end()
        assert end.type == "done", end
        parts = [event for event in self.events if isinstance(event, TrainedFile)]
        assert parts[-1].last
        return b"".join(base64.b64decode(part.data) for part in parts)

    def losses(self) -> list[float]:
        return [event.loss for event in self.events if isinstance(event, Progress) and event.loss is not None]


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[TrainingBackend]:
    backend = TrainingBackend(DEMO_MODELS, tmp_path / "trainings", "cpu", threads=1, save_every_s=0.0)
    yield backend
    backend.stop()


def job(job_id: str, steps: int, **training: object) -> RunRequest:
    return training_job(job_id, demo_checkpoint(), pink_discs(), steps=steps, learning_rate=4e-3, **training)


def progressed(event: Event) -> bool:
    return isinstance(event, Progress) and event.step > 1


def test_training_teaches_a_look_that_the_checkpoint_does_not_know(backend):
    attempt = Attempt(backend, job("zorb-1", steps=300, samples=4))
    attempt.end()
    assert attempt.losses()[-1] < 0.3 * attempt.losses()[0]
    grid = next(event for event in attempt.events if event.type == "image")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(grid.data))).convert("RGB"), dtype=float)
    tiles = [pixels[y : y + 128, x : x + 128] for y in (0, 128) for x in (0, 128)]

    def shows(tile: np.ndarray) -> bool:
        near = [np.linalg.norm(tile - color, axis=-1).min() < 40 for color in (PINK, TEAL)]
        return all(near) and np.linalg.norm(tile[:8].mean((0, 1)) - TEAL) < 60

    assert sum(map(shows, tiles)) >= 3


def test_killed_and_paused_training_resumes_and_ends_in_the_same_file(backend):
    whole = Attempt(backend, job("whole-1", steps=12, samples=1)).file()
    first = Attempt(backend, job("killed-1", steps=12, samples=1))
    first.until(progressed)
    worker = next(
        child for child in psutil.Process().children() if "training.worker" in " ".join(child.cmdline())
    )
    os.kill(worker.pid, signal.SIGKILL)
    end = first.end()
    assert isinstance(end, Failed)
    assert end.code == "lost"
    second = Attempt(backend, job("killed-2", steps=12, samples=1))
    resumed = second.until(progressed)
    assert isinstance(resumed, Progress)
    assert 1 < resumed.step < 12
    assert backend.cancel("killed-2", "pause")
    pause = second.end()
    assert isinstance(pause, Failed)
    assert pause.code == "stopping"
    assert pause.work is not None
    assert resumed.step <= pause.work.steps_run / (3 * 4) < 12
    third = Attempt(backend, job("killed-3", steps=12, samples=1))
    assert third.file() == whole


def test_cancelled_training_keeps_nothing_and_is_charged_for_its_steps(backend, tmp_path):
    attempt = Attempt(backend, job("cancelled-1", steps=10_000))
    attempt.until(progressed)
    assert backend.cancel("cancelled-1", "discard")
    end = attempt.end()
    assert isinstance(end, Failed)
    assert end.code == "cancelled"
    assert end.work is not None
    assert 0 < end.work.steps_run < 10_000 * 3 * 4
    assert not list((tmp_path / "trainings").iterdir())


def test_interrupted_training_gives_what_was_trained_so_far(backend):
    attempt = Attempt(backend, job("short-1", steps=10_000, samples=1))
    attempt.until(progressed)
    backend.cancel("short-1", "interrupt")
    assert attempt.file()


def test_shutdown_lets_the_job_be_requeued(backend):
    attempt = Attempt(backend, job("stopped-1", steps=10_000))
    attempt.until(progressed)
    backend.stop()
    end = attempt.end()
    assert isinstance(end, Failed)
    assert end.code == "stopping"
