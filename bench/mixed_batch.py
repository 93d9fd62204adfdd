"""Heterogeneous requests, batched against sequential: 4 samplers, 2 LoRA sets, ControlNet on every second."""

from __future__ import annotations

import hashlib
import io
import statistics
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from bench.report import Row
from bench.switching import Library
from gpu_runner.engine.engine import Engine
from gpu_runner.protocol import Done, InputImage, ModelFile, RunRequest
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.passes import LoraUse
from tests.support.demo_engine import DEMO_MODELS
from tests.support.event_listener import Listener, order_of
from tests.support.tiny_controlnet import ldm_tensors, random_controlnet, write_tensors

ROUNDS = 3
SIZE, STEPS = 256, 12
SAMPLERS = ("Euler", "Euler a", "DPM++ 2M", "DDIM")
LORA_SETS = (("lora-0",), ("lora-1", "lora-2"))
CONTROLNET = "controlnet/atelier-canny.safetensors"


def circle_png() -> bytes:
    image = Image.new("RGB", (SIZE, SIZE), "black")
    ImageDraw.Draw(image).ellipse((SIZE // 4, SIZE // 4, SIZE * 3 // 4, SIZE * 3 // 4), outline="white")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def controlnet(root: Path) -> ModelFile:
    """The demo ControlNet, or one of the same shape with random weights, which costs the same compute."""
    if not (DEMO_MODELS / CONTROLNET).exists():
        return write_tensors(root, CONTROLNET, ldm_tensors(random_controlnet(1)))
    (root / CONTROLNET).parent.mkdir()
    data = (DEMO_MODELS / CONTROLNET).read_bytes()
    (root / CONTROLNET).write_bytes(data)
    return ModelFile(path=CONTROLNET, sha256=hashlib.sha256(data).hexdigest())


def run_requests(library: Library, net: ModelFile) -> list[RunRequest]:
    control_image = circle_png()
    unit = ControlUnit(model="net", image=InputImage(sha256=hashlib.sha256(control_image).hexdigest()))
    models = {f"lora:lora-{number}": file for number, file in enumerate(library.loras)}
    models["controlnet:net"] = net
    return [
        order_of(
            f"bench-{number}",
            library.checkpoints[0],
            more=(control_image,),
            models=models,
            width=SIZE,
            height=SIZE,
            num_inference_steps=STEPS,
            seed=number,
            sampler=SAMPLERS[number // 2],
            loras=tuple(LoraUse(name=name) for name in LORA_SETS[number % 2]),
            controls=(unit,) if number % 4 < 2 else (),
        )
        for number in range(8)
    ]


def seconds(engine: Engine, requests: list[RunRequest], *, batched: bool) -> float:
    started, listeners = time.perf_counter(), []
    for run_request in requests:
        listeners.append(Listener())
        engine.submit(run_request, listeners[-1])
        if not batched:
            assert isinstance(listeners[-1].end(), Done), listeners[-1].events[-1]
    for listener in listeners if batched else []:
        assert isinstance(listener.end(), Done), listener.events[-1]
    return time.perf_counter() - started


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        library = Library(Path(folder))
        requests = run_requests(library, controlnet(library.root))
        engine = Engine(library.store(), torch.device("cpu"))
        engine.start()
        seconds(engine, requests, batched=True)
        ratio = statistics.median(
            seconds(engine, requests, batched=False) / seconds(engine, requests, batched=True)
            for _ in range(ROUNDS)
        )
        engine.stop()
        label = (
            f"8 requests of 4 samplers, 2 LoRA sets and a ControlNet at {SIZE}², batched against sequential"
        )
        return [Row(label, ratio, "×", "≥ 1.2 ×")]
