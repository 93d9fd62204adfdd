"""Engine throughput: batched against sequential, and against diffusers' pipeline, with equal settings."""

from __future__ import annotations

import statistics
from typing import Any

from bench.against_diffusers import seconds, speed_ratios
from bench.report import Row
from tests.support.demo_engine import Studio

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


def run_batched(studio: Studio) -> None:
    drawings = [studio.begin(seed=i, width=SIZE, height=SIZE, **fields) for i, fields in enumerate(MIXED)]
    for drawing in drawings:
        drawing.images()


def run_sequentially(studio: Studio) -> None:
    for i, fields in enumerate(MIXED):
        studio.draw(seed=i, width=SIZE, height=SIZE, **fields)


def measure() -> list[Row]:
    studio = Studio.of_the_demo()
    try:
        run_batched(studio)
        run_sequentially(studio)
        ratio = statistics.median(
            seconds(lambda: run_sequentially(studio)) / seconds(lambda: run_batched(studio))
            for _ in range(ROUNDS)
        )
        return [
            Row(f"8 mixed requests at {SIZE}², batched against sequential", ratio, "×", "≥ 1.3 ×"),
            *(
                Row(f"one request at {size}², engine against StableDiffusionPipeline", ratio, "×", "≥ 0.95 ×")
                for size, ratio in speed_ratios({256: 11, 512: 5}).items()
            ),
            Row(
                "one image at 512², 20 steps",
                seconds(lambda: studio.draw(width=512, height=512, prompt="a star")),
                "s",
                "≤ 10 s",
            ),
        ]
    finally:
        studio.close()
