"""Backend of a trainer: one worker process for each job."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path

from pydantic import ValidationError

from gpu_runner import logs
from gpu_runner.protocol import EVENT, CancelMode, Done, Event, Failed, Progress, RunRequest
from gpu_runner.server.backend import OnEvent
from gpu_runner.server.running_jobs import RunningJobs
from gpu_runner.server.status_report import Report

from .folders import folder_of, remove_old

log = logging.getLogger(__name__)


class TrainingJob:
    """A running worker process, and the thread that reads its events."""

    def __init__(self, command: list[str], run_request: RunRequest, on_event: OnEvent) -> None:
        self.run_request = run_request
        self.steps_run = 0
        self.ended = threading.Event()
        self._on_event = on_event
        self._lock = threading.Lock()
        self._closed = False
        self._ending: Failed | None = None  # what to report if the process ends
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def start(self) -> None:
        threading.Thread(target=self._follow, name="trainer", daemon=True).start()

    def cancel(self, mode: CancelMode) -> None:
        """Stop between two steps: "discard" keeps nothing, "pause" the state, others make the file from what was trained."""
        self._write(mode.encode() + b"\n")

    def discard(self) -> None:
        """Kill the worker because its client is gone. Its saved state stays for the next attempt."""
        self.kill(Failed(code="cancelled", message="the job was cancelled"))

    def kill(self, ending: Failed) -> None:
        self._ending = ending
        self._process.kill()

    def _follow(self) -> None:
        with logs.about(self.run_request.job_id):
            self._write(self.run_request.model_dump_json().encode() + b"\n")
            assert self._process.stdout is not None
            for line in self._process.stdout:
                try:
                    event = EVENT.validate_json(line)
                except ValidationError:
                    break  # cut off by a kill
                if isinstance(event, Progress):
                    self.steps_run = event.step
                self._emit(event)
            status = self._process.wait()
            self._emit(self._ending or Failed(code="lost", message=f"the trainer ended with status {status}"))
            self.ended.set()

    def _emit(self, event: Event) -> None:
        """Pass on an event; nothing follows Done or Failed."""
        with self._lock:
            if self._closed:
                return
            self._closed = isinstance(event, Done | Failed)
            self._on_event(event)

    def _write(self, line: bytes) -> None:
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            log.warning("the trainer of job %s has ended", self.run_request.job_id)


class TrainingBackend:
    """Runs trainings, each in a worker process."""

    def __init__(
        self,
        models_root: Path,
        work_dir: Path,
        device: str,
        threads: int = 0,
        save_every_s: float | None = None,
    ) -> None:
        """``save_every_s``: seconds between saved states; None: the worker's default."""
        self._models_root, self._work_dir = models_root, work_dir
        self._device, self._threads, self._save_every_s = device, threads, save_every_s
        self._running: RunningJobs[TrainingJob] = RunningJobs()

    def start(self) -> None:
        remove_old(self._work_dir)

    def stop(self) -> None:
        """End all trainings. They resume with the next attempt."""
        ending = Failed(code="stopping", message="the trainer is shutting down")
        self._running.stop(lambda job: job.kill(ending))

    @property
    def alive(self) -> bool:
        return True

    def jobs(self) -> tuple[str, ...]:
        return self._running.ids()

    def submit(self, run_request: RunRequest, on_event: OnEvent) -> TrainingJob:
        """Start a training. A running job with the same id is discarded."""
        command = self._command(folder_of(self._work_dir, run_request.job_id))
        return self._running.start(lambda handle: TrainingJob(command, run_request, handle), on_event)

    def cancel(self, job_id: str, mode: CancelMode) -> bool:
        return self._running.cancel(job_id, mode)

    def unload(self) -> bool:
        """Models are freed with each worker. Returns False while jobs are running."""
        return not self.jobs()

    def report(self) -> Report:
        return Report(backend="training", device=self._device, steps_total=self._running.steps_total)

    def _command(self, folder: Path) -> list[str]:
        options: dict[str, object] = {
            "models-root": self._models_root,
            "folder": folder,
            "device": self._device,
        }
        options |= {"threads": self._threads}
        if self._save_every_s is not None:
            options["save-every-s"] = self._save_every_s
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        return [sys.executable, "-m", "gpu_runner.training.worker", *arguments]
