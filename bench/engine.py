"""The engine against itself fed one by one, and against diffusers' own pipeline: same weights, same settings, one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

from bench.report import Row
from gpu_runner.tokenizer import clip_tokenizer
from tests.studio import Studio

ROUNDS = 3
SIZE = 256
MIXED: list[dict[str, Any]] = [
    {"prompt": "a red circle on a blue background", "sampler": "Euler", "num_inference_steps": 20},
    {"prompt": "a green star on white", "sampler": "Euler a", "num_inference_steps": 24, "guidance_scale": 5},
    {"prompt": "black square, yellow background", "sampler": "DDIM", "num_inference_steps": 16},
    {"prompt": "a purple triangle", "sampler": "UniPC", "num_inference_steps": 20, "guidance_scale": 4},
    {"prompt": "an orange circle", "sampler": "DPM++ 2M", "num_inference_steps": 18},
    {"prompt": "a (white:1.2) star on black", "sampler": "DPM++ 2M", "scheduler": "Karras"},
    {"prompt": "a blue square", "sampler": "Euler", "num_inference_steps": 22, "guidance_scale": 9},
    {"prompt": "yellow circle, purple background", "sampler": "Euler", "num_inference_steps": 20},
]


def seconds(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def together(studio: Studio) -> None:
    for drawing in [
        studio.begin(seed=i, width=SIZE, height=SIZE, **fields) for i, fields in enumerate(MIXED)
    ]:
        drawing.pictures()


def one_by_one(studio: Studio) -> None:
    for i, fields in enumerate(MIXED):
        studio.draw(seed=i, width=SIZE, height=SIZE, **fields)


def plain_pipeline(studio: Studio) -> StableDiffusionPipeline:
    loaded = studio.store.get(studio.checkpoint)
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


def against_diffusers(studio: Studio, size: int) -> float:
    """The plain pipeline's time divided by ours: above 1 we are faster."""
    pipeline, loaded = plain_pipeline(studio), studio.store.get(studio.checkpoint)
    ids = torch.full((2, 77), 49407)
    ids[:, 0] = 49406
    words = clip_tokenizer().encode("a red circle on a blue background")
    ids[0, 1 : 1 + len(words)] = torch.tensor(words)

    def theirs() -> None:
        with torch.inference_mode():
            positive, negative = loaded.text_encoder(ids).last_hidden_state.split(1)
            pipeline(
                prompt_embeds=positive,
                negative_prompt_embeds=negative,
                width=size,
                height=size,
                num_inference_steps=20,
                guidance_scale=7.0,
                generator=torch.Generator().manual_seed(1),
            )

    def ours() -> None:
        studio.draw(prompt="a red circle on a blue background", width=size, height=size, seed=1)

    theirs(), ours()
    return statistics.median(seconds(theirs) / seconds(ours) for _ in range(ROUNDS))


def measure() -> list[Row]:
    studio = Studio.of_the_demo()
    try:
        together(studio), one_by_one(studio)
        ratio = statistics.median(
            seconds(lambda: one_by_one(studio)) / seconds(lambda: together(studio)) for _ in range(ROUNDS)
        )
        return [
            Row(f"8 mixed requests at {SIZE}², together against one by one", ratio, "×", "≥ 1.3 ×"),
            *(
                Row(
                    f"one request at {size}², ours against StableDiffusionPipeline",
                    against_diffusers(studio, size),
                    "×",
                    "≥ 1.0 ×",
                )
                for size in (256, 512)
            ),
            Row(
                "one picture at 512², 20 steps",
                seconds(lambda: studio.draw(width=512, height=512, prompt="a star")),
                "s",
                "≤ 10 s",
            ),
        ]
    finally:
        studio.close()
