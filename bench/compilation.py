"""Steps with compiled blocks against steps without, in pairs: the demo UNet and a tiny DiT, one row and eight."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from bench.report import Row
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.compilation.regional import compiled_calls, never_compile_in_steps
from gpu_runner.networks.compilation.warm_up import compile_and_warm_up, denoise_input
from gpu_runner.networks.diffusion import unet
from gpu_runner.networks.flow import transformer
from gpu_runner.networks.loaded import LoadedCheckpoint
from tests.support.demo_engine import DEMO_MODELS, demo_checkpoint
from tests.support.flow_models import write_sd3

PAIRS = 9
SIDE = 256
ROWS = (1, 8)


def step_of(checkpoint: LoadedCheckpoint, side: int, rows: int) -> Callable[[bool], float]:
    """A function that returns the seconds of one step, compiled or not."""
    network = unet if checkpoint.facts.flow is None else transformer
    inputs = [denoise_input(checkpoint, side, checkpoint.facts.text[0].tokens)] * rows

    def step(compiled: bool) -> float:
        started = time.process_time() if checkpoint.device.type == "cpu" else time.perf_counter()
        with compiled_calls(compiled):
            network.denoise(checkpoint, inputs)
        if checkpoint.device.type == "cpu":
            return time.process_time() - started
        torch.cuda.synchronize(checkpoint.device)
        return time.perf_counter() - started

    return step


def speed_up(checkpoint: LoadedCheckpoint, side: int, rows: int, pairs: int = PAIRS) -> float:
    """How many times as long a step takes without compilation: the median of interleaved pairs."""
    step = step_of(checkpoint, side, rows)
    step(True), step(False)
    return statistics.median(step(False) / step(True) for _ in range(pairs))


def difference(checkpoint: LoadedCheckpoint, side: int, rows: int) -> float:
    """The largest difference between the x0 estimates of both, in the latent."""
    network = unet if checkpoint.facts.flow is None else transformer
    inputs = [denoise_input(checkpoint, side, checkpoint.facts.text[0].tokens)] * rows
    with compiled_calls():
        compiled = network.denoise(checkpoint, inputs)
    pairs = zip(compiled, network.denoise(checkpoint, inputs), strict=True)
    return max(float((one - other).abs().max()) for one, other in pairs)


def measure() -> list[Row]:
    if shutil.which("g++") is None:
        return []
    never_compile_in_steps()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for label, root, file in (
            ("demo UNet", DEMO_MODELS, demo_checkpoint()),
            ("tiny SD3", Path(folder), write_sd3(Path(folder))),
        ):
            checkpoint = ModelStore(root, "cpu", torch.float32, 2**30).checkpoint(file)
            started = time.process_time()
            compile_and_warm_up(checkpoint)
            rows.append(Row(f"{label}: warm-up, CPU time", time.process_time() - started, "s"))
            rows.append(
                Row(f"{label}: largest difference", difference(checkpoint, SIDE, ROWS[-1]), "", "≤ 1e-4")
            )
            rows += [
                Row(
                    f"{label}, {count} rows at {SIDE}²: eager against compiled",
                    speed_up(checkpoint, SIDE, count),
                    "×",
                )
                for count in ROWS
            ]
    return rows
