"""Contact sheets of what the engine can do, drawn with the demo models: ``python -m bench.gallery``. Into docs/gallery/."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from gpu_runner.protocol import sampler_catalog
from gpu_runner.protocol.generation_request import ControlUnit, Hires, Inpaint, LoraUse, Picture
from tests.demo.prompts import PROMPTS
from tests.support.demo_engine import DEMO_MODELS, Drawing, Studio, demo_file

FOLDER = Path(__file__).parents[1] / "docs" / "gallery"
STAR = "a yellow star on a purple background"
CELL, LABEL, LETTERS = 144, 16, 24
Cell = tuple[str, Callable[[], Image.Image]]


def later(drawing: Drawing) -> Callable[[], Image.Image]:
    """Begun at once, in company; waited for when the sheet is made."""
    return lambda: drawing.pictures()[0]


def sheet(name: str, cells: list[Cell], columns: int = 6) -> None:
    rows = -(-len(cells) // columns)
    page = Image.new("RGB", (columns * CELL, rows * (CELL + LABEL)), "white")
    pen = ImageDraw.Draw(page)
    for index, (label, picture) in enumerate(cells):
        x, y = index % columns * CELL, index // columns * (CELL + LABEL)
        page.paste(
            picture().convert("RGB").resize((CELL - 4, CELL - 4), Image.Resampling.LANCZOS), (x + 2, y)
        )
        pen.text((x + 3, y + CELL - 2), label, "black")
    FOLDER.mkdir(parents=True, exist_ok=True)
    page.save(FOLDER / f"{name}.jpg", quality=85)
    print(FOLDER / f"{name}.jpg")


def in_short(prompt: str) -> str:
    """Whatever tells it from the others: a cell has room for 24 letters."""
    short = prompt
    for words in (" background", "a ", "an ", "the ", "picture of "):
        short = short.replace(words, "") if len(short) > LETTERS else short
    return short[:LETTERS]


def attached(picture: Image.Image) -> tuple[Picture, dict[str, str]]:
    file = io.BytesIO()
    picture.save(file, "PNG")
    name = hashlib.sha256(file.getvalue()).hexdigest()
    return Picture(sha256=name), {name: base64.b64encode(file.getvalue()).decode()}


def prompts(studio: Studio) -> list[Cell]:
    """The 64 pictures that the tests judge."""
    return [
        (in_short(prompt), later(studio.begin(prompt=prompt, seed=1000 + i)))
        for i, (prompt, _wanted) in enumerate(PROMPTS)
    ]


def samplers(studio: Studio) -> list[Cell]:
    return [
        (one.name, later(studio.begin(prompt=STAR, seed=4, sampler=one.name, num_inference_steps=24)))
        for one in sampler_catalog.SAMPLERS
    ]


def schedules(studio: Studio) -> list[Cell]:
    return [
        (one.label, later(studio.begin(prompt=STAR, seed=4, scheduler=one.label, num_inference_steps=14)))
        for one in sampler_catalog.SCHEDULERS
    ]


def words(studio: Studio) -> list[Cell]:
    prompts = (
        "a red circle on a white background",
        "a [red:blue:0.3] circle on a white background",
        "a [red|blue] circle on a white background",
        "a red circle AND a blue circle",
        "a circle on a (yellow:1.4) background",
        "a red circle BREAK on a white background",
    )
    return [(in_short(prompt), later(studio.begin(prompt=prompt, seed=9))) for prompt in prompts]


def variations(studio: Studio) -> list[Cell]:
    return [
        (
            f"subseed {strength:.1f}",
            later(studio.begin(prompt=STAR, seed=4, subseed=11, subseed_strength=strength)),
        )
        for strength in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    ]


def relatives(studio: Studio) -> list[Cell]:
    night = [
        (
            f"night {weight}",
            later(studio.begin(prompt=STAR, seed=4, loras=(LoraUse(name="atelier-night", unet=weight),))),
        )
        for weight in (0.0, 0.3, 0.6, 1.0)
    ]
    ring = "a white circle on a black background"
    rings = [
        (
            f"rings {weight}",
            later(studio.begin(prompt=ring, seed=3, loras=(LoraUse(name="atelier-rings", unet=weight),))),
        )
        for weight in (0.5, 1.0)
    ]
    sepia = later(studio.begin(prompt=STAR, seed=4, vae="atelier-sepia"))
    plum = later(studio.begin(prompt="atelier-plum", seed=2, embeddings=("atelier-plum",)))
    return [*night, *rings, ("VAE sepia", sepia), ("embedding plum", plum)]


def inpaintings(studio: Studio) -> list[Cell]:
    original = studio.draw(prompt="a red square on a white background", seed=1)
    mask = Image.new("L", original.size, 0)
    mask.paste(255, (30, 30, 226, 226))
    named, bytes_of = attached(mask)
    cells: list[Cell] = [("original", lambda: original), ("mask", lambda: mask)]
    for content in ("fill", "original", "noise", "nothing"):
        drawing = studio.begin(
            original,
            more_inputs=bytes_of,
            prompt="a blue circle on a white background",
            strength=0.9,
            inpaint=Inpaint(mask=named, content=content),
        )
        cells.append((content, later(drawing)))
    return cells


def second_passes(studio: Studio) -> list[Cell]:
    cells: list[Cell] = [("256 x 256", later(studio.begin(prompt=STAR, seed=4)))]
    for upscaler in ("Latent", "Latent (nearest)", "Lanczos", "atelier-2x"):
        wanted = Hires(width=512, height=512, upscaler=upscaler, strength=0.55, num_inference_steps=14)
        cells.append((f"512: {upscaler}", later(studio.begin(prompt=STAR, seed=4, hires=wanted))))
    return cells


def controls(studio: Studio) -> list[Cell]:
    shown = studio.draw(prompt="a black star on a white background", seed=4)
    lines = cv2.Canny(np.asarray(shown.convert("RGB")), 100, 200)
    named, bytes_of = attached(shown)
    cells: list[Cell] = [("picture", lambda: shown), ("canny", lambda: Image.fromarray(lines))]
    for weight in (0.0, 0.5, 1.0):
        unit = ControlUnit(model="atelier-canny", module="canny", image=named, weight=weight)
        drawing = studio.begin(
            more_inputs=bytes_of, prompt="a red star on a blue background", seed=21, controls=(unit,)
        )
        cells.append((f"weight {weight}", later(drawing)))
    return cells


def main() -> None:
    studio = Studio.of_the_demo()
    sheet("prompts", prompts(studio), 8)
    sheet("samplers", samplers(studio), 7)
    sheet("schedules", schedules(studio))
    sheet("words", words(studio))
    sheet("variations", variations(studio))
    sheet("relatives", relatives(studio), 8)
    sheet("inpainting", inpaintings(studio))
    sheet("hires", second_passes(studio), 5)
    if (DEMO_MODELS / "controlnet" / "atelier-canny.safetensors").is_file():
        sheet("controlnet", controls(studio), 5)
    studio.close()
    pastel = Studio(DEMO_MODELS, demo_file("checkpoints/atelier-pastel.safetensors"))
    sheet("pastel", [(STAR, later(pastel.begin(prompt=STAR, seed=seed))) for seed in range(4, 10)])
    pastel.close()


if __name__ == "__main__":
    main()
