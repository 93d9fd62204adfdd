"""Outputs, samplers and split model files of a real ComfyUI server, without its platform.

``COMFYUI_URL`` must name one that has a UNet of Stable Diffusion 1.x in ``diffusion_models``, its CLIP text encoder and its VAE.
"""

from __future__ import annotations

import base64
import copy
import io
import os
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image as PILImage

from gpu_runner.comfyui.backend import ComfyBackend
from gpu_runner.protocol import Done, Failed, Video
from gpu_runner.protocol.request_parts.video import Video as VideoSettings
from gpu_runner.protocol.video.media_types import media_of
from gpu_runner.protocol.workflows import server_check, slots
from tests.support.event_listener import Listener

URL = os.environ.get("COMFYUI_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="no real ComfyUI: COMFYUI_URL is not set")

Graph = dict[str, dict[str, Any]]
SAMPLING = {"cfg": 7, "sampler_name": "euler", "scheduler": "normal"}
CONDITIONING = {"model": ["1", 0], "positive": ["4", 0], "negative": ["5", 0], "latent_image": ["6", 0]}
SAMPLERS: dict[str, tuple[Graph, str, str]] = {
    "KSampler": (
        {
            "7": {
                "class_type": "KSampler",
                "inputs": CONDITIONING | SAMPLING | {"seed": 1, "steps": 3, "denoise": 1},
            }
        },
        "7.seed",
        "7.steps",
    ),
    "KSamplerAdvanced": (
        {
            "7": {
                "class_type": "KSamplerAdvanced",
                "inputs": CONDITIONING
                | SAMPLING
                | {
                    "noise_seed": 1,
                    "steps": 3,
                    "add_noise": "enable",
                    "start_at_step": 0,
                    "end_at_step": 10000,
                }
                | {"return_with_leftover_noise": "disable"},
            }
        },
        "7.noise_seed",
        "7.steps",
    ),
    "SamplerCustomAdvanced": (
        {
            "7": {
                "class_type": "SamplerCustomAdvanced",
                "inputs": {
                    "noise": ["12", 0],
                    "guider": ["13", 0],
                    "sampler": ["14", 0],
                    "sigmas": ["15", 0],
                    "latent_image": ["6", 0],
                },
            },
            "12": {"class_type": "RandomNoise", "inputs": {"noise_seed": 1}},
            "13": {"class_type": "BasicGuider", "inputs": {"model": ["1", 0], "conditioning": ["4", 0]}},
            "14": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
            "15": {
                "class_type": "BasicScheduler",
                "inputs": {"model": ["1", 0], "scheduler": "simple", "steps": 3, "denoise": 1},
            },
        },
        "12.noise_seed",
        "15.steps",
    ),
}
IMAGES = {"images": ["8", 0]}
PREFIX = {"filename_prefix": "atelier"}
SAVERS: dict[str, tuple[Graph, str]] = {
    "SaveAnimatedWEBP": (
        {
            "9": {
                "inputs": IMAGES | PREFIX | {"fps": 6, "lossless": False, "quality": 80, "method": "default"}
            }
        },
        "image/webp",
    ),
    "SaveAnimatedPNG": ({"9": {"inputs": IMAGES | PREFIX | {"fps": 6, "compress_level": 4}}}, "image/apng"),
    "SaveWEBM": ({"9": {"inputs": IMAGES | PREFIX | {"fps": 6, "codec": "vp9", "crf": 32}}}, "video/webm"),
    "SaveVideo": (
        {
            "9": {"inputs": PREFIX | {"video": ["10", 0], "format": "auto", "codec": "auto"}},
            "10": {"class_type": "CreateVideo", "inputs": IMAGES | {"fps": 6}},
        },
        "video/mp4",
    ),
}


@pytest.fixture(scope="module")
def real() -> Iterator[ComfyBackend]:
    backend = ComfyBackend(URL, "a token")
    backend.start()
    backend.poller.refresh()
    assert not backend.poller.problem
    if not backend.poller.inventory.models["diffusion_models"]:
        pytest.skip("the server has no file in diffusion_models")
    yield backend
    backend.stop()


@pytest.fixture
def graph(real) -> Graph:
    """A graph that names its files, up to the decoded images (node 8)."""
    models = real.poller.inventory.models
    unet, clip, vae = (models[folder][0] for folder in ("diffusion_models", "text_encoders", "vae"))
    return {
        "1": {"class_type": "UNETLoader", "inputs": {"unet_name": unet, "weight_dtype": "default"}},
        "2": {"class_type": "CLIPLoader", "inputs": {"clip_name": clip, "type": "stable_diffusion"}},
        "3": {"class_type": "VAELoader", "inputs": {"vae_name": vae}},
        "4": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["2", 0], "text": ""}},
        "5": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["2", 0], "text": ""}},
        "6": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["7", 0], "vae": ["3", 0]}},
    }


def named(sampler: str) -> tuple[Graph, dict[str, Any]]:
    nodes, seed, steps = copy.deepcopy(SAMPLERS[sampler])
    sizes = {"width": "6.width", "height": "6.height"}
    return nodes, {"prompt": "4.text", "seed": seed, "num_inference_steps": steps} | sizes


def generate(real: ComfyBackend, run_request: Any) -> Listener:
    listener = Listener()
    real.submit(run_request, listener)
    assert isinstance(listener.end(), Done), listener.end_event
    return listener


@pytest.mark.parametrize("class_type", ["PreviewImage", "SaveImageWebsocket"])
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_steps_of_every_sampler_are_counted_and_its_image_is_delivered(
    real, make_request, graph, sampler, class_type
):
    nodes, targets = named(sampler)
    saving = {"9": {"class_type": class_type, "inputs": IMAGES}}
    workflow = slots.read("split", graph | nodes | saving, targets)
    assert list(server_check.problems(workflow, real.poller.inventory.nodes)) == []
    fields = {"workflow": workflow, "num_inference_steps": 4, "preview_every": 1}
    seed = int.from_bytes(os.urandom(4)) % 2**31  # not in the server's cache
    listeners = [
        generate(real, make_request(f"{sampler}-{class_type}-{n}", seed=seed, width=72, **fields))
        for n in (1, 2)
    ]
    for listener in listeners:
        (image,) = listener.images
        with PILImage.open(io.BytesIO(base64.b64decode(image.data))) as opened:
            assert (opened.size, opened.info) == ((72, 64), {})
    assert listeners[0].progress[-1].step == 4
    assert len({event.step for event in listeners[0].progress}) >= 3
    assert listeners[0].images[0].data == listeners[1].images[0].data


@pytest.mark.parametrize("saver", sorted(SAVERS))
def test_videos_of_every_node_are_delivered_with_the_frames_and_the_type(real, make_request, graph, saver):
    nodes, targets = named("KSampler")
    saving, media_type = copy.deepcopy(SAVERS[saver])
    saving["9"]["class_type"] = saver
    speed = "10.fps" if "10" in saving else "9.fps"
    targets |= {"video.frames": "6.batch_size", "video.fps": speed, "filename_prefix": "9.filename_prefix"}
    workflow = slots.read("clip", graph | nodes | saving, targets, output="video")
    assert list(server_check.problems(workflow, real.poller.inventory.nodes)) == []
    video = VideoSettings(frames=3, fps=8)
    request = make_request(f"clip-{saver}", workflow=workflow, seed=3, num_inference_steps=2, video=video)
    (sent,) = [event for event in generate(real, request).events if isinstance(event, Video)]
    data = base64.b64decode(sent.data)
    assert media_of(data) == (media_type, True)
    assert b"CLIPTextEncode" not in data, "the graph of the operator is removed"


def test_a_file_that_the_server_cannot_load_fails_by_the_name_of_its_node(real, make_request, graph):
    nodes, targets = named("KSampler")
    graph["3"]["inputs"]["vae_name"] = "absent.safetensors"
    saving = {"9": {"class_type": "PreviewImage", "inputs": IMAGES}}
    workflow = slots.read("split", graph | nodes | saving, targets)
    listener = Listener()
    real.submit(make_request("absent", workflow=workflow, num_inference_steps=2), listener)
    failed = listener.end()
    assert isinstance(failed, Failed)
    assert "VAELoader" in failed.message
    assert "absent.safetensors" in failed.message
