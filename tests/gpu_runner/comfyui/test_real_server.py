"""Tests with a real ComfyUI server. COMFYUI_URL must name one with a checkpoint of Stable Diffusion 1.x."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from gpu_runner.comfyui.backend import ComfyBackend
from gpu_runner.protocol import Done, ModelFile
from gpu_runner.protocol.workflows import server_check, slots
from tests.gpu_runner.comfyui.conftest import SHIPPED, shipped_workflow
from tests.support.event_listener import Listener, image_file

URL = os.environ.get("COMFYUI_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="no real ComfyUI: COMFYUI_URL is not set")


@pytest.fixture(scope="module")
def real() -> Iterator[ComfyBackend]:
    backend = ComfyBackend(URL, "a token")
    backend.start()
    backend.poller.refresh()
    assert not backend.poller.problem
    yield backend
    backend.stop()


@pytest.mark.parametrize("name", sorted(file.stem for file in SHIPPED.glob("*.json")))
def test_every_shipped_workflow_passes_the_check(real, name):
    assert list(server_check.problems(shipped_workflow(name), real.poller.inventory.nodes)) == []


@pytest.mark.parametrize("files", [(), (image_file("blue"),)], ids=["txt2img", "img2img"])
def test_it_generates_an_image(real, make_request, files):
    name = real.poller.inventory.models["checkpoints"][0]
    checkpoint = ModelFile(path=f"checkpoints/{name}", sha256="")
    run_request = make_request("real", *files, seed=5, num_inference_steps=2, preview_every=1)
    listener = Listener()
    real.submit(run_request.model_copy(update={"checkpoint": checkpoint}), listener)
    last = listener.end()
    assert isinstance(last, Done), last
    assert (listener.images[0].width, listener.images[0].height) == (64, 64)
    assert listener.progress


def test_it_delivers_the_batch_of_a_template_and_its_extra_images(real, make_request):
    shipped = shipped_workflow("txt2img")
    graph = {key: node.model_dump() for key, node in shipped.graph.items()}
    saving = shipped.output_nodes[0]
    graph["again"] = graph[saving] | {"inputs": dict(graph[saving]["inputs"])}
    latent = next(key for key, node in graph.items() if node["class_type"] == "EmptyLatentImage")
    own = {"batch_size": f"{latent}.batch_size", "extras": "again.filename_prefix"}
    workflow = slots.read("batch", graph, shipped.slots | own)
    name = real.poller.inventory.models["checkpoints"][0]
    run_request = make_request(
        "real-batch", workflow=workflow, seed=5, num_inference_steps=2, num_images=3, batch_size=2
    )
    checkpoint = ModelFile(path=f"checkpoints/{name}", sha256="")
    listener = Listener()
    real.submit(run_request.model_copy(update={"checkpoint": checkpoint}), listener)
    last = listener.end()
    assert isinstance(last, Done), last
    assert [(image.index, image.seed) for image in listener.images if not image.extra] == [
        (0, 5),
        (1, 5),
        (2, 7),
    ]
    assert [image.index for image in listener.images if image.extra] == [0, 1, 2]
    assert len({image.data for image in listener.images if not image.extra}) == 3
