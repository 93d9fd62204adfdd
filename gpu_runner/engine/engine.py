"""Continuous batching: one thread owns the device; images join, leave and are cancelled between two calls.

Each image in progress is a generator (gpu_runner.tasks) with a pending operation. Each turn executes one
batch of operations that can share a call.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import torch
from cachetools import LRUCache

from gpu_runner import logs
from gpu_runner.imaging import images
from gpu_runner.imaging.images import InvalidImage
from gpu_runner.imaging.nsfw import NsfwDetected
from gpu_runner.models import devices
from gpu_runner.models.store import ModelStore
from gpu_runner.models.torch_environment import environment_of
from gpu_runner.networks import batched_calls
from gpu_runner.networks.compilation.attention import attention_backend
from gpu_runner.networks.diffusion.guidance import GuidedAndUnguided
from gpu_runner.networks.diffusion.vae import Projection
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.operations import Denoise, OffloadedWork, StepsLeftOut
from gpu_runner.protocol import Accepted, CancelMode, ErrorCode, Failed, RunRequest
from gpu_runner.protocol.errors import InvalidRequest, ModelUnavailable, NonFiniteOutput
from gpu_runner.server.status_report import Report
from gpu_runner.tasks.generation import Examination, RawOutput
from gpu_runner.tasks.preparation.prepare import Prepared, prepare

from . import cpu_threads
from .batching import CPU_LIMITS, CUDA_LIMITS, Limits, choose
from .finalize import Examined, Finished, finish
from .running_job import ImageInProgress, OnEvent, Run

log = logging.getLogger(__name__)

LOADERS = 4  # threads that load models, so that jobs with cached models do not wait for a load
PROJECTIONS_KEPT = 16
HELPERS = 2  # threads that encode PNG files and run OffloadedWork
SHUTTING_DOWN = "the runner is shutting down"


class DeviceLost(RuntimeError):
    """The device failed; only a new process can use it again."""


class Engine:
    """Runs jobs on one device with continuous batching."""

    def __init__(
        self,
        store: ModelStore,
        device: torch.device,
        limits: Limits | None = None,
        attention: str = "native",
    ) -> None:
        """``attention`` is one of ``BACKENDS`` of ``networks.compilation.attention``."""
        self._attention = attention
        self.store = store
        self.device = device
        self.limits = limits or (CUDA_LIMITS if device.type == "cuda" else CPU_LIMITS)
        self.steps_total = self.calls_total = self.rows_total = 0
        self._runs: dict[str, Run] = {}
        self._images: list[ImageInProgress] = []
        self._projections: LRUCache[str, Projection] = LRUCache(PROJECTIONS_KEPT)
        self._turn = 0
        self._steps_are_due = False
        self._stopping = False
        self._failed = False
        self._lock = threading.RLock()  # guards the state changed by submit and stop
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._cpu_threads = torch.get_num_threads()
        self._environment = environment_of(device, store.dtype)
        self._loaders = ThreadPoolExecutor(LOADERS, "loader", cpu_threads.use_one_thread)
        self._helpers = ThreadPoolExecutor(HELPERS, "helper", cpu_threads.use_one_thread)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    # Public API: thread-safe.

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and not self._stopping

    def wait_for_end(self) -> bool:
        """Block until the engine thread has ended. Returns True if it ended because of an error."""
        self._thread.join()
        return self._failed

    def jobs(self) -> tuple[str, ...]:
        """Ids of the running jobs."""
        return tuple(job_id for job_id, run in list(self._runs.items()) if not run.closed)

    def submit(self, run_request: RunRequest, on_event: OnEvent) -> Run:
        """Start a job and return its state. Events are passed to ``on_event``.

        A running attempt of the same job is discarded: a job is claimed again only if its worker is gone.
        """
        run = Run(run_request, on_event)
        with logs.about(run_request.job_id):
            log.info("job %s accepted", run_request.job_id)
        with self._lock:
            self.cancel(run_request.job_id, "discard")
            self._runs[run_request.job_id] = run
            if self._stopping:
                run.emit(Failed(code="stopping", message=SHUTTING_DOWN, work=run.work()))
                return run
            run.emit(Accepted(job_id=run_request.job_id, environment=self._environment))
            preparing = self._loaders.submit(prepare, self.store, run_request)
        preparing.add_done_callback(lambda future: self._inbox.put(partial(self._start_run, run, future)))
        return run

    def cancel(self, job_id: str, mode: CancelMode) -> bool:
        """Cancel a job; returns False if it is not running, and for ``pause``, which only trainings have.

        ``discard`` fails the job. ``skip`` ends the current batch after its next step and keeps its images;
        ``interrupt`` does the same and starts no further batch.
        """
        run = self._runs.get(job_id)
        if run is None or run.closed or mode == "pause":
            return False
        if mode == "discard":
            run.discard()
        else:
            self._inbox.put(partial(run.stop_batch, no_further_batches=mode == "interrupt"))
        return True

    def unload(self) -> bool:
        """Unload all models from memory. Returns False, and unloads nothing, while jobs are running."""
        with self._lock:
            if self.jobs():
                return False
            self.store.clear()
        return True

    def report(self) -> Report:
        """Status of the device, loaded models and counters."""
        return Report(
            device=devices.describe(self.device),
            loaded=tuple(self.store.loaded()),
            memory_bytes=devices.memory_bytes(self.device),
            steps_total=self.steps_total,
            calls_total=self.calls_total,
            rows_total=self.rows_total,
            loads_total=self.store.loads_total,
        )

    def stop(self) -> None:
        """Fail all jobs and stop the engine. A device call in progress is not aborted."""
        with self._lock:
            self._stopping = True
            self._fail_all("stopping", SHUTTING_DOWN)
        self._inbox.put(lambda: None)
        for pool in (self._loaders, self._helpers):
            pool.shutdown(wait=False, cancel_futures=True)

    # Engine thread only.

    def _run(self) -> None:
        cpu_threads.use_threads(self._cpu_threads)
        try:
            with torch.inference_mode(), attention_backend(self._attention):
                while not self._stopping:
                    self._process_inbox()
                    self._run_turn()
        except Exception:
            if not self._stopping:
                self._failed = True
                log.exception("the engine thread failed")
        finally:
            self._stopping = True
            self._fail_all("lost", "the runner's engine stopped")

    def _fail_all(self, code: ErrorCode, message: str) -> None:
        for run in list(self._runs.values()):
            run.emit(Failed(code=code, message=message, work=run.work()))

    def _process_inbox(self) -> None:
        """Run the queued commands. Blocks only while no image is being generated."""
        try:
            command = self._inbox.get(block=not self._images)
            while True:
                command()
                command = self._inbox.get_nowait()
        except Empty:
            pass

    def _run_turn(self) -> None:
        self._drop_closed()
        self._turn += 1
        group = choose(self._images, self.limits, turn=self._turn, steps_are_due=self._steps_are_due)
        if group:
            self._steps_are_due = not isinstance(group[0].operation, Denoise)
            self._execute(group)

    def _drop_closed(self) -> None:
        with self._lock:
            self._runs = {job_id: run for job_id, run in self._runs.items() if not run.closed}
        self._images = [image for image in self._images if not image.run.closed]

    def _start_run(self, run: Run, preparing: Future[Prepared]) -> None:
        if run.closed:
            return
        with self._isolate(run):
            run.prepared = preparing.result()
            run.emit_control_maps()
            self._start_batches(run)

    def _start_batches(self, run: Run) -> None:
        """Start the next batch; continue while batches finish at once, without device operations."""
        run.starting_batch = True
        while not run.closed and (run.batch is None or run.batch.is_generated):
            new_images = run.start_next_batch(self._turn)
            if not new_images:
                break
            for image in new_images:
                self._images.append(image)
                self._advance(image, None)
        run.starting_batch = False

    def _execute(self, group: list[ImageInProgress]) -> None:
        """Execute one batch. On failure it is split in halves until only the failing image is left."""
        group = [image for image in group if not image.run.closed]
        if not group:
            return
        try:
            results = self._call_device(group)
        except Exception as error:
            self._handle_failure(group, error)
        else:
            self._send_results(group, results)

    def _call_device(self, group: list[ImageInProgress]) -> list[Any]:
        operations = [image.operation for image in group]
        began = time.perf_counter()
        results = batched_calls.execute(operations)
        devices.synchronize(self.device)
        if isinstance(operations[0], Denoise):
            self.calls_total += 1
            self.rows_total += len(operations)
        seconds_per_unit = (time.perf_counter() - began) / sum(map(batched_calls.cost, operations))
        for image in group:
            image.run.device_seconds += seconds_per_unit * batched_calls.cost(image.operation)
        return results

    def _handle_failure(self, group: list[ImageInProgress], error: Exception) -> None:
        if devices.is_lost(error):
            raise DeviceLost from error
        if devices.is_out_of_memory(error):
            devices.release_cache(self.device)
            self.limits = self.limits.below([image.operation for image in group])
        if len(group) == 1:
            self._fail(group[0].run, error)
            return
        middle = len(group) // 2
        self._execute(group[:middle])
        self._execute(group[middle:])

    def _send_results(self, group: list[ImageInProgress], results: list[Any]) -> None:
        stepped = [(image, result) for image, result in zip(group, results, strict=True) if _is_step(image)]
        for image, _ in stepped:
            image.run.count_step(image)
        first_of_run = {image.run: (image.operation.model, result) for image, result in reversed(stepped)}
        self.steps_total += len(stepped)
        for image, result in zip(group, results, strict=True):
            with self._isolate(image.run):
                self._advance(image, result)
        for run, (model, estimate) in first_of_run.items():
            self._report(run, model, estimate)

    def _advance(self, image: ImageInProgress, result: Any) -> None:
        try:
            operation = image.task.send(result)
            while isinstance(operation, StepsLeftOut):
                image.run.leave_out_steps(image, operation.count)
                operation = image.task.send(None)
        except StopIteration as end:
            self._images.remove(image)
            self._finish_image(image, end.value)
            return
        if isinstance(operation, OffloadedWork):
            self._offload(image, operation)
        else:
            image.operation, image.since = operation, self._turn

    def _offload(self, image: ImageInProgress, offloaded: OffloadedWork) -> None:
        """Run the work on a helper thread while the other images continue."""
        self._images.remove(image)
        future = self._helpers.submit(offloaded.work)
        future.add_done_callback(lambda done: self._inbox.put(partial(self._resume, image, done)))

    def _resume(self, image: ImageInProgress, future: Future[Any]) -> None:
        if image.run.closed:
            return
        self._images.append(image)
        with self._isolate(image.run):
            self._advance(image, future.result())

    def _report(self, run: Run, model: Any, result: torch.Tensor | GuidedAndUnguided) -> None:
        with self._isolate(run):
            estimate = result.denoised if isinstance(result, GuidedAndUnguided) else result
            run.report_progress(self._preview(model, estimate) if run.preview_is_due else None)

    def _preview(self, checkpoint: LoadedCheckpoint, estimate: torch.Tensor) -> bytes:
        projection = self._projections.get(checkpoint.vae_key)
        if projection is None:
            projection = Projection(checkpoint)
            self._projections[checkpoint.vae_key] = projection
        return images.preview(projection.to_rgb(estimate))

    def _finish_image(self, image: ImageInProgress, output: RawOutput | Examination) -> None:
        """Encode the image on a helper thread and start the next batch without waiting for it."""
        run = image.run
        run.correct_progress(image)
        encoding = self._helpers.submit(finish, output.on_cpu(), run.prepared.check)
        encoding.add_done_callback(
            lambda future: self._inbox.put(partial(self._deliver, run, image.index, future))
        )
        assert run.batch is not None
        run.batch.generated += 1
        if run.batch.is_generated and not run.starting_batch:
            self._start_batches(run)

    def _deliver(self, run: Run, index: int, encoding: Future[Finished | Examined]) -> None:
        with self._isolate(run):
            run.deliver(index, encoding.result())
        all_started = run.batch is not None and run.batch.is_generated
        if all_started and run.images_done == run.images_started:
            run.finish()

    @contextmanager
    def _isolate(self, run: Run) -> Iterator[None]:
        """Context manager: an exception fails this job only, not the other jobs or the engine."""
        try:
            yield
        except Exception as error:
            self._fail(run, error)

    def _fail(self, run: Run, error: Exception) -> None:
        code, message = explain(error)
        if code == "internal":
            with logs.about(run.run_request.job_id):
                log.error("job %s failed", run.run_request.job_id, exc_info=error)
        run.emit(Failed(code=code, message=message, work=run.work()))


def explain(error: Exception) -> tuple[ErrorCode, str]:
    """Map an exception to an error code and a message for the client. Details are only logged."""
    if isinstance(error, InvalidRequest | InvalidImage):
        return "bad_request", str(error)
    if isinstance(error, ModelUnavailable):
        return "model_unavailable", str(error)
    if isinstance(error, NsfwDetected):
        return "nsfw", "the image was rejected by the NSFW check"
    if isinstance(error, NonFiniteOutput):
        return "internal", str(error)
    if devices.is_out_of_memory(error):
        return "out_of_memory", "out of memory on the runner: use a smaller size"
    return "internal", f"internal error of the runner ({type(error).__name__})"


def _is_step(image: ImageInProgress) -> bool:
    return isinstance(image.operation, Denoise)
