"""A data set that the demo checkpoint does not know, and training jobs with it."""

from __future__ import annotations

import base64
import hashlib
import io
import random
from typing import Any

from PIL import Image, ImageDraw

from gpu_runner.protocol import GenerationRequest, ModelFile, RunRequest

PINK, TEAL = (255, 120, 190), (0, 150, 150)
TRIGGER = "zorb"


def pink_discs(count: int = 8, side: int = 128) -> list[bytes]:
    """Pink discs on teal, as PNG files."""
    rng = random.Random(1)
    files = []
    for _ in range(count):
        image = Image.new("RGB", (side, side), TEAL)
        x, y = (side / 2 + rng.uniform(-0.1, 0.1) * side for _ in range(2))
        radius = side * rng.uniform(0.22, 0.33)
        ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=PINK)
        file = io.BytesIO()
        image.save(file, "PNG")
        files.append(file.getvalue())
    return files


def training_request(
    files: list[bytes], *, side: int = 128, seed: int = 5, **training: Any
) -> GenerationRequest:
    images = [{"image": {"sha256": hashlib.sha256(data).hexdigest()}} for data in files]
    return GenerationRequest(
        task="train_lora",
        width=side,
        height=side,
        seed=seed,
        training={
            "images": images,
            "trigger": TRIGGER,
            "title": "Zorb",
            "batch_size": 4,
            "rank": 8,
            "alpha": 8.0,
            **training,
        },
    )


def training_job(job_id: str, checkpoint: ModelFile, files: list[bytes], **fields: Any) -> RunRequest:
    inputs = {hashlib.sha256(data).hexdigest(): base64.b64encode(data).decode() for data in files}
    request = training_request(files, **fields)
    return RunRequest(job_id=job_id, request=request, checkpoint=checkpoint, inputs=inputs)
