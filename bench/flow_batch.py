"""Requests of a tiny flow-matching transformer, batched against sequential: 4 samplers, prompts, guidance scales, steps."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import torch

from bench.mixed_batch import seconds
from bench.report import Row
from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import RunRequest
from tests.support.event_listener import order_of
from tests.support.flow_models import write_sd3

ROUNDS = 5
SIZE = 128
SAMPLERS = ("Euler", "Euler a", "DPM++ 2M", "UniPC")


def cpu_seconds(engine: Engine, requests: list[RunRequest], *, batched: bool) -> float:
    """CPU time of all threads, which other processes of a busy machine change less than wall time."""
    started = time.process_time()
    seconds(engine, requests, batched=batched)
    return time.process_time() - started


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = write_sd3(Path(folder))
        requests = [
            order_of(
                f"bench-{number}",
                checkpoint,
                prompt="a red circle" * (number % 3),
                width=SIZE,
                height=SIZE,
                num_inference_steps=10 + number % 4,
                guidance_scale=2.0 + number,
                sampler=SAMPLERS[number // 2],
                seed=number,
            )
            for number in range(8)
        ]
        engine = Engine(ModelStore(Path(folder), "cpu", torch.float32, 2**30), torch.device("cpu"))
        engine.start()
        seconds(engine, requests, batched=True)
        ratio = statistics.median(
            cpu_seconds(engine, requests, batched=False) / cpu_seconds(engine, requests, batched=True)
            for _ in range(ROUNDS)
        )
        engine.stop()
        label = f"8 mixed requests of a tiny SD3 at {SIZE}², batched against sequential, CPU time"
        return [Row(label, ratio, "×", "≥ 1.3 ×")]
