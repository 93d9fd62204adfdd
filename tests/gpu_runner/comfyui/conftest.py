"""Fixtures: a ComfyUI double, a backend connected to it, and run requests with the shipped workflows."""

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


def shipped_workflow(name: str) -> Workflow:
    stored = json.loads((SHIPPED / f"{name}.json").read_text())
    return slots.read(name, stored["graph"], stored["slots"])


@pytest.fixture
def double() -> Iterator[Double]:
    created = Double()
    yield created
    created.close()


@pytest.fixture
def backend(double: Double) -> Iterator[ComfyBackend]:
    created = ComfyBackend(double.url, "a token", timeout_s=4)
    created.start()
    created.poller.refresh()
    yield created
    created.stop()


@pytest.fixture
def make_request() -> Callable[..., RunRequest]:
    """Factory of run requests, with the shipped workflow for the request unless one is given."""

    def make(job_id: str = "job-1", *files: bytes, workflow: Workflow | None = None, **fields) -> RunRequest:
        models = {key: ModelFile(path=path, sha256="") for key, path in FILES.items()}
        if any(unit.module == "lineart" for unit in fields.get("controls", ())):
            models["preprocessor:sk_model"] = (
                CHECKPOINT  # required by GenerationRequest; ComfyUI nodes bring their own
            )
        plain = order_of(job_id, CHECKPOINT, *files, models=models, **fields)
        return plain.model_copy(update={"workflow": workflow or shipped_workflow(purpose_of(plain.request))})

    return make


@pytest.fixture
def generate(backend: ComfyBackend) -> Callable[[RunRequest], Listener]:
    def generate(run_request: RunRequest) -> Listener:
        listener = Listener()
        backend.submit(run_request, listener)
        listener.end()
        return listener

    return generate
