"""Contact sheets of engine features, generated with the demo models: ``python -m bench.gallery``.

Writes to docs/gallery/.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.passes import Hires, Inpaint, LoraUse
from gpu_runner.protocol.request_parts.values import InputImage
from tests.demo.prompts import PROMPTS
from tests.support.demo_engine import DEMO_MODELS, Drawing, Studio, demo_file

FOLDER = Path(__file__).parents[1] / "docs" / "gallery"
STAR = "a yellow star on a purple background"
CELL, LABEL, MAX_LABEL_LENGTH = 144, 16, 24
Cell = tuple[str, Callable[[], Image.Image]]


def image_of(drawing: Drawing) -> Callable[[], Image.Image]:
    """Return a function that waits for the image. Its job is already running, batched with others."""
    return lambda: drawing.images()[0]


def sheet(name: str, cells: list[Cell], columns: int = 6) -> None:
    rows = -(-len(cells) // columns)
    page = Image.new("RGB", (columns * CELL, rows * (CELL + LABEL)), "white")
    pen = ImageDraw.Draw(page)
    for index, (label, image) in enumerate(cells):
        x, y = index % columns * CELL, index // columns * (CELL + LABEL)
        page.paste(image().convert("RGB").resize((CELL - 4, CELL - 4), Image.Resampling.LANCZOS), (x + 2, y))
        pen.text((x + 3, y + CELL - 2), label, "black")
    FOLDER.mkdir(parents=True, exist_ok=True)
    page.save(FOLDER / f"{name}.jpg", quality=85)
    print(FOLDER / f"{name}.jpg")


def short_label(prompt: str) -> str:
    """Label of a cell, at most 24 characters: the prompt without its most common words."""
    short = prompt
    for word in (" background", "a ", "an ", "the ", "picture of "):
        short = short.replace(word, "") if len(short) > MAX_LABEL_LENGTH else short
    return short[:MAX_LABEL_LENGTH]


def as_input(image: Image.Image) -> tuple[InputImage, dict[str, str]]:
    file = io.BytesIO()
    image.save(file, "PNG")
    name = hashlib.sha256(file.getvalue()).hexdigest()
    return InputImage(sha256=name), {name: base64.b64encode(file.getvalue()).decode()}


def prompts(studio: Studio) -> list[Cell]:
    """One cell for each of the 64 prompts that the tests evaluate."""
    return [
        (short_label(prompt), image_of(studio.begin(prompt=prompt, seed=1000 + i)))
        for i, (prompt, _wanted) in enumerate(PROMPTS)
    ]


def samplers(studio: Studio) -> list[Cell]:
    return [
        (entry.name, image_of(studio.begin(prompt=STAR, seed=4, sampler=entry.name, num_inference_steps=24)))
        for entry in sampler_catalog.SAMPLERS
    ]


def schedules(studio: Studio) -> list[Cell]:
    return [
        (
            entry.label,
            image_of(studio.begin(prompt=STAR, seed=4, scheduler=entry.label, num_inference_steps=14)),
        )
        for entry in sampler_catalog.SCHEDULERS
    ]


def prompt_syntax(studio: Studio) -> list[Cell]:
    prompts = (
        "a red circle on a white background",
        "a [red:blue:0.3] circle on a white background",
        "a [red|blue] circle on a white background",
        "a red circle AND a blue circle",
        "a circle on a (yellow:1.4) background",
        "a red circle BREAK on a white background",
    )
    return [(short_label(prompt), image_of(studio.begin(prompt=prompt, seed=9))) for prompt in prompts]


def variations(studio: Studio) -> list[Cell]:
    return [
        (
            f"subseed {strength:.1f}",
            image_of(studio.begin(prompt=STAR, seed=4, subseed=11, subseed_strength=strength)),
        )
        for strength in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    ]


def derived_models(studio: Studio) -> list[Cell]:
    night = [
        (
            f"night {weight}",
            image_of(studio.begin(prompt=STAR, seed=4, loras=(LoraUse(name="atelier-night", unet=weight),))),
        )
        for weight in (0.0, 0.3, 0.6, 1.0)
    ]
    ring = "a white circle on a black background"
    rings = [
        (
            f"rings {weight}",
            image_of(studio.begin(prompt=ring, seed=3, loras=(LoraUse(name="atelier-rings", unet=weight),))),
        )
        for weight in (0.5, 1.0)
    ]
    sepia = image_of(studio.begin(prompt=STAR, seed=4, vae="atelier-sepia"))
    plum = image_of(studio.begin(prompt="atelier-plum", seed=2, embeddings=("atelier-plum",)))
    return [*night, *rings, ("VAE sepia", sepia), ("embedding plum", plum)]


def inpaintings(studio: Studio) -> list[Cell]:
    original = studio.draw(prompt="a red square on a white background", seed=1)
    mask = Image.new("L", original.size, 0)
    mask.paste(255, (30, 30, 226, 226))
    reference, inputs = as_input(mask)
    cells: list[Cell] = [("original", lambda: original), ("mask", lambda: mask)]
    for content in ("fill", "original", "noise", "nothing"):
        drawing = studio.begin(
            original,
            more_inputs=inputs,
            prompt="a blue circle on a white background",
            strength=0.9,
            inpaint=Inpaint(mask=reference, content=content),
        )
        cells.append((content, image_of(drawing)))
    return cells


def hires_fix(studio: Studio) -> list[Cell]:
    cells: list[Cell] = [("256 x 256", image_of(studio.begin(prompt=STAR, seed=4)))]
    for upscaler in ("Latent", "Latent (nearest)", "Lanczos", "atelier-2x"):
        hires = Hires(width=512, height=512, upscaler=upscaler, strength=0.55, num_inference_steps=14)
        cells.append((f"512: {upscaler}", image_of(studio.begin(prompt=STAR, seed=4, hires=hires))))
    return cells


def controls(studio: Studio) -> list[Cell]:
    original = studio.draw(prompt="a black star on a white background", seed=4)
    lines = cv2.Canny(np.asarray(original.convert("RGB")), 100, 200)
    reference, inputs = as_input(original)
    cells: list[Cell] = [("image", lambda: original), ("canny", lambda: Image.fromarray(lines))]
    for weight in (0.0, 0.5, 1.0):
        unit = ControlUnit(model="atelier-canny", module="canny", image=reference, weight=weight)
        drawing = studio.begin(
            more_inputs=inputs, prompt="a red star on a blue background", seed=21, controls=(unit,)
        )
        cells.append((f"weight {weight}", image_of(drawing)))
    return cells


def main() -> None:
    studio = Studio.of_the_demo()
    sheet("prompts", prompts(studio), 8)
    sheet("samplers", samplers(studio), 7)
    sheet("schedules", schedules(studio))
    sheet("prompt_syntax", prompt_syntax(studio))
    sheet("variations", variations(studio))
    sheet("derived_models", derived_models(studio), 8)
    sheet("inpainting", inpaintings(studio))
    sheet("hires", hires_fix(studio), 5)
    if (DEMO_MODELS / "controlnet" / "atelier-canny.safetensors").is_file():
        sheet("controlnet", controls(studio), 5)
    studio.close()
    pastel = Studio(DEMO_MODELS, demo_file("checkpoints/atelier-pastel.safetensors"))
    sheet("pastel", [(STAR, image_of(pastel.begin(prompt=STAR, seed=seed))) for seed in range(4, 10)])
    pastel.close()


if __name__ == "__main__":
    main()
