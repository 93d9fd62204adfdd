from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpu_runner.comfyui.backend import ComfyBackend
from gpu_runner.protocol import ModelFile, RunRequest, Workflow
from gpu_runner.protocol.workflows import slots
from gpu_runner.protocol.workflows.default_purpose import purpose_of
from tests.support.comfyui_double import Double
from tests.support.event_listener import Listener, order_of

SHIPPED = Path(__file__).resolve().parents[3] / "models_registry" / "shipped_workflows"
CHECKPOINT = ModelFile(path="checkpoints/shapes.safetensors", sha256="0" * 64)
FILES = {
    "lora:night": "loras/night.safetensors",
    "lora:unknown": "loras/unknown.safetensors",
    "vae:sepia": "vae/sepia.safetensors",
    "controlnet:lineart": "controlnet/lineart.pth",
    "upscaler:2x": "upscalers/2x.safetensors",
    "embedding:plum": "embeddings/plum.pt",
}


def shipped(name: str) -> Workflow:
    kept = json.loads((SHIPPED / f"{name}.json").read_text())
    return slots.read(name, kept["graph"], kept["slots"])


@pytest.fixture
def double() -> Iterator[Double]:
    made = Double()
    yield made
    made.close()


@pytest.fixture
def backend(double: Double) -> Iterator[ComfyBackend]:
    made = ComfyBackend(double.url, "a token", patience_s=4)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def order() -> Callable[..., RunRequest]:
    """With the shipped workflow for the request, unless one is given."""

    def make(job_id: str = "job-1", *files: bytes, workflow: Workflow | None = None, **fields) -> RunRequest:
        models = {key: ModelFile(path=path, sha256="") for key, path in FILES.items()}
        if any(unit.module == "lineart" for unit in fields.get("controls", ())):
            models["preprocessor:sk_model"] = CHECKPOINT  # that ComfyUI has its own is the platform's to know
        plain = order_of(job_id, CHECKPOINT, *files, models=models, **fields)
        return plain.model_copy(update={"workflow": workflow or shipped(purpose_of(plain.request))})

    return make


@pytest.fixture
def draw(backend: ComfyBackend) -> Callable[[RunRequest], Listener]:
    def draw(order: RunRequest) -> Listener:
        ear = Listener()
        backend.submit(order, ear)
        ear.end()
        return ear

    return draw
