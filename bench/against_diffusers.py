"""The same request in the engine and in diffusers' pipeline, alternating, each in its own process.

In one process, two OpenMP thread pools would compete for the cores
(docs/decisions/0013-openmp-threads-for-the-engine-only.md).
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache

import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

from gpu_runner.models.store import ModelStore
from gpu_runner.protocol.prompt.tokenizer import clip_tokenizer
from tests.support.demo_engine import DEMO_MODELS, Studio, demo_checkpoint

PROMPT = "a red circle on a blue background"
STEPS = 20


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


@cache
def _studio() -> Studio:
    return Studio.of_the_demo()


def engine_seconds(size: int) -> float:
    studio = _studio()
    return seconds(
        lambda: studio.draw(prompt=PROMPT, width=size, height=size, num_inference_steps=STEPS, seed=1)
    )


@cache
def _pipeline() -> StableDiffusionPipeline:
    store = ModelStore(DEMO_MODELS, torch.device("cpu"), torch.float32, 2**34)
    loaded = store.get(demo_checkpoint())
    pipeline = StableDiffusionPipeline(
        vae=loaded.vae,
        text_encoder=loaded.text_encoder,
        tokenizer=None,
        unet=loaded.unet,
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            timestep_spacing="linspace",
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@cache
def _ids() -> torch.Tensor:
    ids = torch.full((2, 77), 49407)
    ids[:, 0] = 49406
    tokens = clip_tokenizer().encode(PROMPT)
    ids[0, 1 : 1 + len(tokens)] = torch.tensor(tokens)
    return ids


def diffusers_seconds(size: int) -> float:
    pipeline, ids = _pipeline(), _ids()

    def generate() -> None:
        with torch.inference_mode():
            positive, negative = pipeline.text_encoder(ids).last_hidden_state.split(1)
            pipeline(
                prompt_embeds=positive,
                negative_prompt_embeds=negative,
                width=size,
                height=size,
                num_inference_steps=STEPS,
                guidance_scale=7.0,
                generator=torch.Generator().manual_seed(1),
            )

    return seconds(generate)


def speed_ratios(rounds: dict[int, int]) -> dict[int, float]:
    """Median ratio of diffusers' time to the engine's, per image size (above 1, the engine is faster).

    ``rounds`` maps each size to its number of rounds.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as engine_process, ProcessPoolExecutor(1, spawn) as diffusers_process:

        def ratio(size: int) -> float:
            diffusers_time = diffusers_process.submit(diffusers_seconds, size).result()
            return diffusers_time / engine_process.submit(engine_seconds, size).result()

        for size in rounds:
            ratio(size)  # warm-up: the first run of each size is slower
        return {size: statistics.median(ratio(size) for _ in range(count)) for size, count in rounds.items()}
