"""A worker process: ``python -m gpu_runner.training.worker`` reads one RunRequest from stdin and writes events to stdout.

Further lines on stdin are the modes of cancellations; the end of stdin ends the process, because its server is gone.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before importing libraries that would download files

import torch

from gpu_runner import logs
from gpu_runner.imaging import images
from gpu_runner.imaging.images import InvalidImage
from gpu_runner.models import devices
from gpu_runner.models.request_models import Models
from gpu_runner.models.store import ModelStore
from gpu_runner.models.torch_environment import environment_of
from gpu_runner.protocol import (
    Accepted,
    Done,
    Environment,
    ErrorCode,
    Event,
    Failed,
    Image,
    Progress,
    RunRequest,
    TrainedFile,
)
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.step_count import evaluations_per_trained_row

from .captions import captions_of
from .folders import remove
from .lora_file import ARCHITECTURES, lora_file
from .trainer import SAVE_EVERY_S, Trainer

log = logging.getLogger(__name__)

CHUNK_BYTES = 3 * 256 * 1024  # of the trained file; a multiple of 3, so that base64 needs no padding
PROGRESS_EVERY_S = 0.5


class Cancelled(Exception):
    """The training was cancelled with the mode discard."""


class Paused(Exception):
    """The training was stopped with the mode pause, with its state saved."""


class Worker:
    """Runs one training and writes its events."""

    def __init__(
        self,
        run_request: RunRequest,
        store: ModelStore,
        environment: Environment,
        folder: Path,
        events: BinaryIO,
        save_every_s: float = SAVE_EVERY_S,
    ) -> None:
        self._run_request = run_request
        self._store = store
        self._environment = environment
        self._folder, self._save_every_s = folder, save_every_s
        self._events = events
        self._began = time.monotonic()
        self._steps_done = 0
        self._reported_at = 0.0
        self.mode = ""  # of a cancellation

    def run(self) -> None:
        """Emit Accepted, Progress, Image, TrainedFile and Done; or Failed."""
        self._emit(Accepted(job_id=self._run_request.job_id, environment=self._environment))
        try:
            self._train()
        except Exception as error:
            code, message = explain(error)
            if code == "internal":
                with logs.about(self._run_request.job_id):
                    log.exception("training failed")
            if isinstance(error, Cancelled):
                remove(self._folder)
            self._emit(Failed(code=code, message=message, work=self._work()))
        else:
            self._emit(self._work())
            remove(self._folder)

    def _train(self) -> None:
        request, training = self._run_request.request, self._run_request.request.training
        if training is None:
            raise ValueError(f"a trainer runs task=train_lora only (got task={request.task})")
        file = self._run_request.checkpoint
        if file is None:
            raise ValueError("a training needs a checkpoint")
        checkpoint = Models.of(self._store, self._run_request).checkpoint
        if checkpoint.family not in ARCHITECTURES:
            raise ModelUnavailable(f"{file.path} cannot be trained")
        files = [base64.b64decode(self._run_request.inputs[image.image.sha256]) for image in training.images]
        captions = captions_of(self._store, self._run_request, training, files)
        trainer = Trainer(checkpoint, request, files, self._folder, self._save_every_s, captions)
        self._steps_done = trainer.state.step

        def on_step(step: int, loss: float) -> None:
            self._steps_done = step
            sample = b""
            if training.sample_every and step % training.sample_every == 0 and step < training.steps:
                sample = images.small_jpeg(trainer.samples())
            self._report(step, loss, sample)

        trainer.run(on_step, lambda: bool(self.mode))
        if self.mode == "discard":
            raise Cancelled
        if self.mode == "pause" and trainer.state.step < training.steps:
            raise Paused
        grid = trainer.samples()
        if self.mode == "discard":  # also one that came while the samples were drawn
            raise Cancelled
        data = base64.b64encode(images.png(grid)).decode()
        self._emit(Image(index=0, seed=request.seed, width=grid.width, height=grid.height, data=data))
        content = lora_file(
            checkpoint,
            request,
            trainer.adapters.state(),
            steps=trainer.state.step,
            base_sha256=file.sha256,
            date=trainer.state.date,
            captions=captions,
        )
        self._send_file(content)

    def _report(self, step: int, loss: float, sample: bytes) -> None:
        training = self._run_request.request.training
        assert training is not None
        due = sample or step == training.steps or time.monotonic() - self._reported_at >= PROGRESS_EVERY_S
        if due:
            preview = base64.b64encode(sample).decode() if sample else None
            self._emit(Progress(step=step, steps=training.steps, batch_step=step, loss=loss, preview=preview))
            self._reported_at = time.monotonic()

    def _send_file(self, content: bytes) -> None:
        for start in range(0, len(content), CHUNK_BYTES):
            data = base64.b64encode(content[start : start + CHUNK_BYTES]).decode()
            last = start + CHUNK_BYTES >= len(content)
            sha256 = hashlib.sha256(content).hexdigest() if last else ""
            self._emit(TrainedFile(data=data, last=last, sha256=sha256))

    def _work(self) -> Done:
        """The work of the training with earlier attempts, whose steps are in its state, in the units of the price.

        The seconds are those of this attempt.
        """
        request, training = self._run_request.request, self._run_request.request.training
        seconds = time.monotonic() - self._began
        evaluations = 0
        if training is not None:
            evaluations = self._steps_done * training.batch_size * evaluations_per_trained_row(training)
        return Done(
            engine_seconds=seconds,
            device_seconds=seconds,
            steps_run=evaluations,
            pixel_steps=evaluations * request.width * request.height,
        )

    def _emit(self, event: Event) -> None:
        self._events.write(event.model_dump_json().encode() + b"\n")
        self._events.flush()

    def listen(self, lines: BinaryIO) -> None:
        """Take over the modes of cancellations; end the process with its server. A pause replaces no other mode."""
        for line in lines:
            mode = line.decode().strip()
            if mode != "pause" or not self.mode:
                self.mode = mode
        os._exit(1)


def explain(error: Exception) -> tuple[ErrorCode, str]:
    """Map an exception to an error code and a message for the client."""
    match error:
        case Cancelled():
            return "cancelled", "the training was cancelled"
        case Paused():
            return "stopping", "the training paused, and its state is saved"
        case ModelUnavailable():
            return "model_unavailable", str(error)
        case InvalidImage() | ValueError() | FloatingPointError():
            return "bad_request", str(error)
        case _ if devices.is_out_of_memory(error):
            return (
                "out_of_memory",
                "the device has not enough memory for this resolution, batch size and rank",
            )
        case _:
            return "internal", "the training failed because of an internal error"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("gpu_runner.training.worker", description="Trains one LoRA.")
    parser.add_argument("--models-root", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="state of this training")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--save-every-s", type=float, default=SAVE_EVERY_S)
    return parser.parse_args(arguments)


def main() -> int:
    # Libraries may print to stdout, which belongs to the events.
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    logs.configure(os.environ.get("LOG_FORMAT", "line"), os.environ.get("LOG_LEVEL", "INFO"))
    options = parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    run_request = RunRequest.model_validate_json(sys.stdin.buffer.readline())
    try:
        device = devices.pick(options.device)
    except devices.DeviceUnavailable as error:
        print(f"gpu_runner train: {error}", file=sys.stderr)
        return 1
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    store = ModelStore(options.models_root, device, dtype, devices.capacity_bytes(device))
    worker = Worker(
        run_request, store, environment_of(device, dtype), options.folder, events, options.save_every_s
    )
    threading.Thread(target=worker.listen, args=[sys.stdin.buffer], name="cancellations", daemon=True).start()
    worker.run()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # the listening thread still reads
