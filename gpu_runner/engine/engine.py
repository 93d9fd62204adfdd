"""Continuous batching: one thread owns the device, and between two calls pictures join, leave and are cancelled.

Every picture under way is a generator (tasks.py) with an open ask. Each turn serves the asks that can share one call.
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
from typing import Any, Literal

import torch
from cachetools import LRUCache

from gpu_runner import logs
from gpu_runner.imaging import images
from gpu_runner.imaging.images import InvalidImage
from gpu_runner.imaging.nsfw import NsfwDetected
from gpu_runner.models import devices
from gpu_runner.models.store import ModelStore
from gpu_runner.networks import batched_calls
from gpu_runner.networks.diffusion.guidance import GuidedAndUnguided
from gpu_runner.networks.diffusion.vae import Projection
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.operations import Denoise, OffloadedWork
from gpu_runner.protocol import Accepted, ErrorCode, Failed, RunRequest
from gpu_runner.protocol.errors import InvalidRequest, ModelUnavailable, NonFiniteOutput
from gpu_runner.server.status_report import Report
from gpu_runner.tasks.generation import RawOutput
from gpu_runner.tasks.preparation.prepare import Prepared, prepare

from . import cpu_threads
from .batching import CPU_LIMITS, CUDA_LIMITS, Limits, choose
from .finalize import Finished, finish
from .running_job import OnEvent, Picture, Run

log = logging.getLogger(__name__)

LOADERS = 4  # threads that read files: a job of a warm checkpoint need not wait for a cold one
PROJECTIONS_KEPT = 16
HELPERS = 2  # threads that write PNG files, and do what pictures step aside for
SHUTTING_DOWN = "the runner is shutting down"


class DeviceLost(RuntimeError):
    pass


class Engine:
    def __init__(self, store: ModelStore, device: torch.device, limits: Limits | None = None) -> None:
        self.store = store
        self.device = device
        self.limits = limits or (CUDA_LIMITS if device.type == "cuda" else CPU_LIMITS)
        self.steps_total = self.calls_total = self.rows_total = 0
        self._runs: dict[str, Run] = {}
        self._pictures: list[Picture] = []
        self._projections: LRUCache[str, Projection] = LRUCache(PROJECTIONS_KEPT)
        self._turn = 0
        self._steps_are_due = False
        self._stopping = False
        self._died = False
        self._lock = threading.RLock()  # over what submit and stop change
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._cpu_threads = torch.get_num_threads()
        self._loaders = ThreadPoolExecutor(LOADERS, "loader", cpu_threads.use_one_thread)
        self._helpers = ThreadPoolExecutor(HELPERS, "helper", cpu_threads.use_one_thread)
        self._thread = threading.Thread(target=self._live, name="engine", daemon=True)

    # Called from any thread.

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and not self._stopping

    def wait_for_death(self) -> bool:
        """Returns when its thread has ended; True if nobody had asked for that."""
        self._thread.join()
        return self._died

    def jobs(self) -> tuple[str, ...]:
        return tuple(job_id for job_id, run in list(self._runs.items()) if not run.closed)

    def submit(self, order: RunRequest, on_event: OnEvent) -> Run:
        """An earlier order of the same job is discarded: its worker is gone if the job was claimed again."""
        run = Run(order, on_event)
        with logs.about(order.job_id):
            log.info("order %s taken", order.job_id)
        with self._lock:
            self.cancel(order.job_id, "discard")
            self._runs[order.job_id] = run
            if self._stopping:
                run.emit(Failed(code="stopping", message=SHUTTING_DOWN, work=run.work()))
                return run
            run.emit(Accepted(job_id=order.job_id))
            preparing = self._loaders.submit(prepare, self.store, order)
        preparing.add_done_callback(lambda future: self._inbox.put(partial(self._begin, run, future)))
        return run

    def cancel(self, job_id: str, mode: Literal["discard", "interrupt", "skip"]) -> bool:
        run = self._runs.get(job_id)
        if run is None or run.closed:
            return False
        if mode == "discard":
            run.discard()
        else:
            self._inbox.put(partial(run.stop_batch, and_the_rest=mode == "interrupt"))
        return True

    def unload(self) -> bool:
        """Drops every model from memory; False, and nothing is dropped, while there are jobs."""
        with self._lock:
            if self.jobs():
                return False
            self.store.clear()
        return True

    def report(self) -> Report:
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
        """Ends every job at once. The call that the device is in runs out behind it."""
        with self._lock:
            self._stopping = True
            self._fail_all("stopping", SHUTTING_DOWN)
        self._inbox.put(lambda: None)
        for pool in (self._loaders, self._helpers):
            pool.shutdown(wait=False, cancel_futures=True)

    # The engine's thread.

    def _live(self) -> None:
        cpu_threads.use_threads(self._cpu_threads)
        try:
            with torch.inference_mode():
                while not self._stopping:
                    self._read_inbox()
                    self._take_turn()
        except Exception:
            if not self._stopping:
                self._died = True
                log.exception("the engine is dead")
        finally:
            self._stopping = True
            self._fail_all("lost", "the runner's engine stopped")

    def _fail_all(self, code: ErrorCode, message: str) -> None:
        for run in list(self._runs.values()):
            run.emit(Failed(code=code, message=message, work=run.work()))

    def _read_inbox(self) -> None:
        """Blocks only while no image is being generated."""
        try:
            word = self._inbox.get(block=not self._pictures)
            while True:
                word()
                word = self._inbox.get_nowait()
        except Empty:
            pass

    def _take_turn(self) -> None:
        self._drop_the_closed()
        self._turn += 1
        group = choose(self._pictures, self.limits, turn=self._turn, steps_are_due=self._steps_are_due)
        if group:
            self._steps_are_due = not isinstance(group[0].ask, Denoise)
            self._serve(group)

    def _drop_the_closed(self) -> None:
        with self._lock:
            self._runs = {job_id: run for job_id, run in self._runs.items() if not run.closed}
        self._pictures = [picture for picture in self._pictures if not picture.run.closed]

    def _begin(self, run: Run, preparing: Future[Prepared]) -> None:
        if run.closed:
            return
        with self._blaming(run):
            run.prepared = preparing.result()
            run.show_maps()
            self._begin_pictures(run)

    def _begin_pictures(self, run: Run) -> None:
        """Batch after batch while they ask nothing of the device, and are drawn as soon as they are begun."""
        run.beginning = True
        while not run.closed and (run.batch is None or run.batch.is_drawn):
            pictures = run.begin_pictures(self._turn)
            if not pictures:
                break
            for picture in pictures:
                self._pictures.append(picture)
                self._advance(picture, None)
        run.beginning = False

    def _serve(self, group: list[Picture]) -> None:
        """On a failure the group is halved until the picture at fault stands alone; the others go on."""
        group = [picture for picture in group if not picture.run.closed]
        if not group:
            return
        try:
            answers = self._call(group)
        except Exception as error:
            self._after_failure(group, error)
        else:
            self._send(group, answers)

    def _call(self, group: list[Picture]) -> list[Any]:
        asks = [picture.ask for picture in group]
        began = time.perf_counter()
        answers = batched_calls.answer(asks)
        devices.synchronize(self.device)
        if isinstance(asks[0], Denoise):
            self.calls_total += 1
            self.rows_total += len(asks)
        second_per_share = (time.perf_counter() - began) / sum(map(batched_calls.share, asks))
        for picture in group:
            picture.run.device_seconds += second_per_share * batched_calls.share(picture.ask)
        return answers

    def _after_failure(self, group: list[Picture], error: Exception) -> None:
        if devices.is_lost(error):
            raise DeviceLost from error
        if devices.is_out_of_memory(error):
            devices.release_cache(self.device)
            self.limits = self.limits.below([picture.ask for picture in group])
        if len(group) == 1:
            self._fail(group[0].run, error)
            return
        middle = len(group) // 2
        self._serve(group[:middle])
        self._serve(group[middle:])

    def _send(self, group: list[Picture], answers: list[Any]) -> None:
        stepped = [
            (picture, answer) for picture, answer in zip(group, answers, strict=True) if _steps(picture)
        ]
        for picture, _ in stepped:
            picture.run.count_step(picture)
        first_of_run = {picture.run: (picture.ask.model, answer) for picture, answer in reversed(stepped)}
        self.steps_total += len(stepped)
        for picture, answer in zip(group, answers, strict=True):
            with self._blaming(picture.run):
                self._advance(picture, answer)
        for run, (model, estimate) in first_of_run.items():
            self._report(run, model, estimate)

    def _advance(self, picture: Picture, answer: Any) -> None:
        try:
            ask = picture.task.send(answer)
        except StopIteration as end:
            self._pictures.remove(picture)
            self._picture_drawn(picture, end.value)
            return
        if isinstance(ask, OffloadedWork):
            self._step_aside(picture, ask)
        else:
            picture.ask, picture.since = ask, self._turn

    def _step_aside(self, picture: Picture, aside: OffloadedWork) -> None:
        """The others go on meanwhile."""
        self._pictures.remove(picture)
        working = self._helpers.submit(aside.work)
        working.add_done_callback(lambda future: self._inbox.put(partial(self._come_back, picture, future)))

    def _come_back(self, picture: Picture, working: Future[Any]) -> None:
        if picture.run.closed:
            return
        self._pictures.append(picture)
        with self._blaming(picture.run):
            self._advance(picture, working.result())

    def _report(self, run: Run, model: Any, answer: torch.Tensor | GuidedAndUnguided) -> None:
        with self._blaming(run):
            estimate = answer.denoised if isinstance(answer, GuidedAndUnguided) else answer
            run.report_progress(self._preview(model, estimate) if run.preview_is_due else None)

    def _preview(self, checkpoint: LoadedCheckpoint, estimate: torch.Tensor) -> bytes:
        projection = self._projections.get(checkpoint.vae_key)
        if projection is None:
            projection = Projection(checkpoint)
            self._projections[checkpoint.vae_key] = projection
        return images.preview(projection.colours(estimate))

    def _picture_drawn(self, picture: Picture, drawn: RawOutput) -> None:
        """The file is written beside the engine's thread; the next batch need not wait for it."""
        run = picture.run
        run.count_drawn(picture)
        writing = self._helpers.submit(finish, drawn.off_the_device(), run.prepared.check)
        writing.add_done_callback(
            lambda future: self._inbox.put(partial(self._deliver, run, picture.index, future))
        )
        assert run.batch is not None
        run.batch.drawn += 1
        if run.batch.is_drawn and not run.beginning:
            self._begin_pictures(run)

    def _deliver(self, run: Run, index: int, writing: Future[Finished]) -> None:
        with self._blaming(run):
            run.deliver(index, writing.result())
        all_begun = run.batch is not None and run.batch.is_drawn
        if all_begun and run.images_done == run.images_started:
            run.finish()

    @contextmanager
    def _blaming(self, run: Run) -> Iterator[None]:
        """What goes wrong inside is this job's failure, and nobody else's."""
        try:
            yield
        except Exception as error:
            self._fail(run, error)

    def _fail(self, run: Run, error: Exception) -> None:
        code, message = explain(error)
        if code == "internal":
            with logs.about(run.order.job_id):
                log.error("job %s failed", run.order.job_id, exc_info=error)
        run.emit(Failed(code=code, message=message, work=run.work()))


def explain(error: Exception) -> tuple[ErrorCode, str]:
    """What a client may know of an error; the rest is for the log."""
    if isinstance(error, InvalidRequest | InvalidImage):
        return "bad_request", str(error)
    if isinstance(error, ModelUnavailable):
        return "model_unavailable", str(error)
    if isinstance(error, NsfwDetected):
        return "nsfw", "a picture was found unfit to be shown"
    if isinstance(error, NonFiniteOutput):
        return "internal", str(error)
    if devices.is_out_of_memory(error):
        return "out_of_memory", "the picture does not fit in the device's memory"
    return "internal", f"the runner could not draw the picture ({type(error).__name__})"


def _steps(picture: Picture) -> bool:
    return isinstance(picture.ask, Denoise)
