"""A store with a tiny checkpoint of each flow-matching family, and latents of several images from shared batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from gpu_runner.controlnet.units import PreparedControls, PreparedUnit
from gpu_runner.engine.batching import CPU_LIMITS, choose
from gpu_runner.models.request_models import Models
from gpu_runner.models.store import ModelStore
from gpu_runner.networks import batched_calls
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.operations import DecodeLatent, Operation
from gpu_runner.protocol import GenerationRequest
from gpu_runner.tasks.denoising_loop import StopFlag
from gpu_runner.tasks.generation import Plan, generate_image
from gpu_runner.tasks.init_image import Canvas
from tests.support import flow_models


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory) -> dict[str, LoadedCheckpoint]:
    """Loaded from files in their everyday layouts, by family."""
    root = tmp_path_factory.mktemp("flow")
    store = ModelStore(root, "cpu", torch.float32, 2**30)
    return {name: store.get(*write(root)) for name, write in flow_models.WRITERS.items()}


@dataclass(eq=False)
class Waiting:
    task: Any
    operation: Operation
    since: int = 0


def _plan(
    checkpoint: LoadedCheckpoint,
    request: GenerationRequest,
    canvas: Canvas | None,
    units: Sequence[PreparedUnit],
) -> Plan:
    plan = replace(Plan.of(request, Models(checkpoint)), canvases=(canvas,) if canvas else ())
    return plan.controlled_by(PreparedControls((tuple(units),)))


@pytest.fixture(scope="session")
def draw_latents() -> Callable[..., list[Tensor]]:
    """Run requests side by side, as the engine does, and return their latents before they are decoded."""

    def draw(
        checkpoint: LoadedCheckpoint,
        requests: Sequence[GenerationRequest],
        canvas: Canvas | None = None,
        units: Sequence[PreparedUnit] | Sequence[Sequence[PreparedUnit]] = (),
    ) -> list[Tensor]:
        """``units``: those of all requests, or of each."""
        own = [units] * len(requests) if all(isinstance(unit, PreparedUnit) for unit in units) else units
        plans = [
            _plan(checkpoint, request, canvas, some) for request, some in zip(requests, own, strict=True)
        ]
        tasks = [generate_image(plan, 0, StopFlag()) for plan in plans]
        waiting = [Waiting(task, next(task)) for task in tasks]
        latents: dict[int, Tensor] = {}
        with torch.inference_mode():
            turn = 0
            while waiting:
                turn += 1
                group = choose(waiting, CPU_LIMITS, turn=turn, steps_are_due=turn % 2 == 1)
                results = batched_calls.execute([one.operation for one in group])
                for one, result in zip(group, results, strict=True):
                    if isinstance(one.operation, DecodeLatent):
                        latents[tasks.index(one.task)] = one.operation.latent
                    try:
                        one.operation, one.since = one.task.send(result), turn
                    except StopIteration:
                        waiting.remove(one)
        return [latents[number] for number in range(len(tasks))]

    return draw


@pytest.fixture(scope="session")
def request_of() -> Callable[..., GenerationRequest]:
    def build(**fields: Any) -> GenerationRequest:
        defaults = {"prompt": "a red circle", "width": 64, "height": 64, "num_inference_steps": 8}
        return GenerationRequest(**{"scheduler": "Automatic", "sampler": "Euler", **defaults, **fields})

    return build
