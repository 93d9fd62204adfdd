"""Listener of a job: keeps the events of a job and waits for those that matter."""

from __future__ import annotations

import base64
import hashlib
import io
import queue

import numpy as np
from PIL import Image as PILImage

from gpu_runner.protocol import (
    Done,
    Event,
    Failed,
    GenerationRequest,
    Image,
    InputImage,
    Progress,
    RunRequest,
)

PATIENCE_S = 240  # only so that a broken engine fails a test instead of hanging it


class Listener:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def __call__(self, event: Event) -> None:
        self._queue.put(event)

    def next(self) -> Event:
        self.events.append(self._queue.get(timeout=PATIENCE_S))
        return self.events[-1]

    def until(self, *kinds: type[Event]) -> Event:
        while not isinstance(event := self.next(), kinds):
            pass
        return event

    def end(self) -> Done | Failed:
        return self.until(Done, Failed)

    @property
    def end_event(self) -> Event:
        """The last event that was waited for."""
        return self.events[-1]

    @property
    def images(self) -> list[Image]:
        return sorted(
            (event for event in self.events if isinstance(event, Image)), key=lambda image: image.index
        )

    @property
    def progress(self) -> list[Progress]:
        return [event for event in self.events if isinstance(event, Progress)]

    @property
    def pixels(self) -> list[np.ndarray]:
        return [pixels_of(image) for image in self.images]


def pixels_of(image: Image) -> np.ndarray:
    with PILImage.open(io.BytesIO(base64.b64decode(image.data))) as picture:
        return np.asarray(picture).astype(int)


def image_file(colour: str, size: tuple[int, int] = (64, 64)) -> bytes:
    return png(PILImage.new("RGB", size, colour))


def png(picture: PILImage.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def order_of(job_id: str, checkpoint, *files: bytes, more=(), models=None, **fields) -> RunRequest:
    """``files`` are the init images of an img2img; ``more`` other pictures, and ``models`` files, that it names."""
    inputs = {hashlib.sha256(data).hexdigest(): base64.b64encode(data).decode() for data in [*files, *more]}
    if files:
        pictures = tuple(InputImage(sha256=hashlib.sha256(data).hexdigest()) for data in files)
        fields = {"task": "img2img", "init_images": pictures} | fields
    defaults = {"prompt": "a red circle", "width": 64, "height": 64, "num_inference_steps": 6}
    request = GenerationRequest(**(defaults | fields))
    return RunRequest(
        job_id=job_id, request=request, checkpoint=checkpoint, inputs=inputs, files=models or {}
    )
