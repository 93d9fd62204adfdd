"""Generate images with an engine in this process and the demo models."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import threading
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import (
    Event,
    Failed,
    Finding,
    Findings,
    GenerationRequest,
    InputImage,
    ModelFile,
    RunRequest,
)
from gpu_runner.protocol import Image as ImageEvent

DEMO_MODELS = Path(__file__).resolve().parents[2] / "demo" / "models"
DEMO_CHECKPOINT = "checkpoints/atelier-shapes.safetensors"


FOLDERS = {
    "checkpoint": "checkpoints",
    "lora": "loras",
    "vae": "vae",
    "embedding": "embeddings",
    "controlnet": "controlnet",
    "upscaler": "upscalers",
    "matting": "matting",
    "face_detector": "face_detection",
    "face_restorer": "face_restoration",
    "tagger": "taggers",
}


SUFFIXES = {"matting": ".onnx", "face_detector": ".onnx", "face_restorer": ".pth", "tagger": ".onnx"}


@functools.cache
def demo_file(path: str) -> ModelFile:
    data = (DEMO_MODELS / path).read_bytes()
    return ModelFile(path=path, sha256=hashlib.sha256(data).hexdigest())


def demo_checkpoint() -> ModelFile:
    return demo_file(DEMO_CHECKPOINT)


def demo_files(request: GenerationRequest) -> dict[str, ModelFile]:
    """Model files of the names in a request, as the registry would find them."""
    return {
        name.key: demo_file(f"{FOLDERS[name.kind]}/{name.name}{SUFFIXES.get(name.kind, '.safetensors')}")
        for name in request.model_names()
    }


class Drawing:
    """A running job. ``images()`` waits for its end and returns its images."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._ended = threading.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if event.type in ("done", "failed"):
            self._ended.set()

    def images(self) -> list[Image.Image]:
        self._ended.wait()
        if isinstance(self.events[-1], Failed):
            raise AssertionError(self.events[-1])
        image_events = sorted((e for e in self.events if isinstance(e, ImageEvent)), key=lambda e: e.index)
        return [Image.open(io.BytesIO(base64.b64decode(image.data))) for image in image_events]

    def findings(self) -> list[Finding]:
        """Wait for the end of an analysis and return what it found, by image."""
        self._ended.wait()
        if isinstance(self.events[-1], Failed):
            raise AssertionError(self.events[-1])
        found = (event for event in self.events if isinstance(event, Findings))
        return [event.data for event in sorted(found, key=lambda event: event.index)]


class Studio:
    """An engine and a checkpoint; a job can set any field of the generation request."""

    def __init__(self, models_root: Path, checkpoint: ModelFile, device: str = "cpu") -> None:
        dtype = torch.float16 if device == "cuda" else torch.float32
        self.store = ModelStore(models_root, torch.device(device), dtype, 16 * 2**30)
        self.engine = Engine(self.store, torch.device(device))
        self.engine.start()
        self.checkpoint = checkpoint
        self._count = 0

    @classmethod
    def of_the_demo(cls) -> Studio:
        return cls(DEMO_MODELS, demo_checkpoint())

    def begin(
        self, init_image: Image.Image | None = None, more_inputs: dict[str, str] | None = None, **fields: Any
    ) -> Drawing:
        """Submit a job. Defaults: 256×256, 20 steps, CFG 7."""
        fields = {"width": 256, "height": 256, **fields}
        inputs = dict(more_inputs or {})
        if init_image is not None:
            file = io.BytesIO()
            init_image.save(file, "PNG")
            name = hashlib.sha256(file.getvalue()).hexdigest()
            inputs[name] = base64.b64encode(file.getvalue()).decode()
            fields = {"task": "img2img", **fields, "init_images": (InputImage(sha256=name),)}
        self._count += 1
        request = GenerationRequest(**fields)
        run_request = RunRequest(
            job_id=f"studio-{self._count}",
            request=request,
            checkpoint=self.checkpoint,
            files=demo_files(request),
            inputs=inputs,
        )
        drawing = Drawing()
        self.engine.submit(run_request, drawing)
        return drawing

    def draw(self, init_image: Image.Image | None = None, **fields: Any) -> Image.Image:
        """Submit a job and return its first image."""
        return self.begin(init_image, **fields).images()[0]

    def close(self) -> None:
        self.engine.stop()
