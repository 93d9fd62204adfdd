"""Train a LoRA for the demo's flow-matching model: ``python -m demo.flow_matching.train_lora``. It draws dark colors.

The trainer is the one that serves trainings of clients; its data set is 64 rendered images with their captions.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
import tempfile
from datetime import date
from pathlib import Path

import torch
from PIL import Image

from demo.data.captions import describe
from demo.data.looks import NIGHT
from demo.data.shapes import draw, random_scenes
from demo.flow_matching.export import OUTPUT as BASE
from demo.learning.finetuning import MODELS
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import GenerationRequest, ModelFile
from gpu_runner.training.lora_file import lora_file
from gpu_runner.training.trainer import Trainer

OUTPUT = MODELS / "loras" / "atelier-flow-night.safetensors"
SIDE = 256  # pixels
IMAGES = 64


def night_scenes() -> tuple[list[bytes], list[str]]:
    """PNG files and their captions."""
    scenes = random_scenes(IMAGES, torch.Generator().manual_seed(21), palette=NIGHT.palette)
    rng = random.Random(21)
    files, captions = [], []
    for i, pixels in enumerate(draw(scenes, SIDE, SIDE)):
        file = io.BytesIO()
        Image.fromarray((pixels * 255).byte().permute(1, 2, 0).numpy()).save(file, "PNG")
        files.append(file.getvalue())
        scene = int(scenes.shape[i]), int(scenes.color_index[i]), int(scenes.background_index[i])
        captions.append(describe(*scene, rng)[0])
    return files, captions


def training_request(files: list[bytes], captions: list[str], steps: int) -> GenerationRequest:
    images = [
        {"image": {"sha256": hashlib.sha256(data).hexdigest()}, "caption": caption}
        for data, caption in zip(files, captions, strict=True)
    ]
    return GenerationRequest(
        task="train_lora",
        width=SIDE,
        height=SIDE,
        seed=6,
        training={
            "images": images,
            "title": "Atelier flow night",
            "author": "Atelier",
            "license": "Apache-2.0",
            "base_name": BASE.stem,
            "steps": steps,
            "batch_size": 4,
            "rank": 8,
            "alpha": 8.0,
            "learning_rate": 4e-3,
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    base = ModelFile(path=BASE.name, sha256=hashlib.sha256(BASE.read_bytes()).hexdigest())
    checkpoint = ModelStore(BASE.parent, "cpu", torch.float32, 2**30).checkpoint(base)
    files, captions = night_scenes()
    request = training_request(files, captions, options.steps)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(checkpoint, request, files, Path(folder))
        trainer.run(lambda step, loss: step % 50 or print(f"{step} {loss:.4f}", flush=True), lambda: False)
        data = lora_file(
            checkpoint,
            request,
            trainer.adapters.state(),
            steps=trainer.state.step,
            base_sha256=base.sha256,
            date=date.today().isoformat(),
        )
    OUTPUT.write_bytes(data)
    print(f"{OUTPUT}: {OUTPUT.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
