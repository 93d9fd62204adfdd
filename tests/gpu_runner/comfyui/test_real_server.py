"""Against a real ComfyUI, where COMFYUI_URL names one that has a checkpoint of Stable Diffusion 1.x."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from gpu_runner.comfyui.backend import ComfyBackend
from gpu_runner.protocol import Done, ModelFile
from gpu_runner.protocol.workflows import server_check
from tests.gpu_runner.comfyui.conftest import SHIPPED, shipped
from tests.support.event_listener import Listener, picture_file

URL = os.environ.get("COMFYUI_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="no real ComfyUI: COMFYUI_URL is not set")


@pytest.fixture(scope="module")
def real() -> Iterator[ComfyBackend]:
    backend = ComfyBackend(URL, "a token")
    backend.start()
    assert not backend.watch.problem
    yield backend
    backend.stop()


@pytest.mark.parametrize("name", sorted(file.stem for file in SHIPPED.glob("*.json")))
def test_every_shipped_workflow_fits_it(real, name):
    assert list(server_check.problems(shipped(name), real.watch.stock.nodes)) == []


@pytest.mark.parametrize("files", [(), (picture_file("blue"),)], ids=["txt2img", "img2img"])
def test_it_draws(real, order, files):
    name = real.watch.stock.models["checkpoints"][0]
    checkpoint = ModelFile(path=f"checkpoints/{name}", sha256="")
    asked = order("real", *files, seed=5, num_inference_steps=2, preview_every=1)
    ear = Listener()
    real.submit(asked.model_copy(update={"checkpoint": checkpoint}), ear)
    last = ear.end()
    assert isinstance(last, Done), last
    assert (ear.images[0].width, ear.images[0].height) == (64, 64)
    assert ear.progress
