"""Hashes of small images of the demo model and of tiny random SD 1.x, SD 2.x and SDXL models.

``python -m tests.support.golden_images FILE`` writes them; with ``--compare`` it draws again and reports every difference.
For refactorings that must not change a pixel. The hashes hold for one machine and one set of libraries, so none is kept
in the repository.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from demo.architectures.random_models import write_family
from gpu_runner.protocol import InputImage, ModelFile
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.passes import Hires, Inpaint, LoraUse
from tests.support.demo_engine import Studio
from tests.support.event_listener import png

SIDE = 64


def circle() -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), "white")
    ImageDraw.Draw(image).ellipse((12, 12, 50, 50), fill="red")
    return image


def half_mask() -> Image.Image:
    mask = Image.new("L", (SIDE, SIDE), 0)
    mask.paste(255, (0, 0, SIDE // 2, SIDE))
    return mask


def demo_cases() -> dict[str, dict[str, Any]]:
    (mask, more), (drawing, hint) = _input(half_mask()), _input(circle())
    img2img = {"init_image": circle(), "task": "img2img", "strength": 0.6}
    return {
        "txt2img": {"negative_prompt": "blue"},
        "DPM++ 2M": {"sampler": "DPM++ 2M"},
        "Euler a": {"sampler": "Euler a", "subseed": 5, "subseed_strength": 0.3},
        "UniPC": {"sampler": "UniPC"},
        "LCM and AND": {"sampler": "LCM", "prompt": "a red circle AND a blue square:0.5"},
        "DDIM CFG++": {"sampler": "DDIM CFG++", "guidance_scale": 3.0},
        "img2img": img2img,
        "img2img by PLMS": img2img | {"sampler": "PLMS"},
        "inpaint": img2img | {"inpaint": Inpaint(mask=mask), "more_inputs": more},
        "hires": {"hires": Hires(width=96, height=96, strength=0.6, upscaler="Latent")},
        "ControlNet": {
            "controls": (ControlUnit(model="atelier-canny", image=drawing, module="canny"),),
            "more_inputs": hint,
        },
        "LoRA": {"loras": (LoraUse(name="atelier-night"),), "clip_skip": 2},
        "VAE": {"vae": "atelier-sepia"},
    }


def _input(image: Image.Image) -> tuple[InputImage, dict[str, str]]:
    data = png(image)
    sha256 = hashlib.sha256(data).hexdigest()
    return InputImage(sha256=sha256), {sha256: base64.b64encode(data).decode()}


def hashes() -> dict[str, str]:
    demo = Studio.of_the_demo()
    found = {f"demo {name}": _drawn(demo, **fields) for name, fields in demo_cases().items()}
    demo.engine.stop()
    with tempfile.TemporaryDirectory() as folder:
        for family in ("sd15", "sd2", "sdxl"):
            path = Path(folder) / f"{family}.safetensors"
            write_family(family, path, tiny=True)
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            studio = Studio(Path(folder), ModelFile(path=path.name, sha256=sha256))
            found[f"{family} txt2img"] = _drawn(studio, negative_prompt="blue")
            found[f"{family} img2img"] = _drawn(studio, init_image=circle(), task="img2img", sampler="Heun")
            studio.engine.stop()
    return found


def _drawn(studio: Studio, **fields: Any) -> str:
    defaults = {"prompt": "a red circle", "seed": 7, "num_inference_steps": 4, "width": SIDE, "height": SIDE}
    images = studio.begin(**defaults | fields).images()
    return hashlib.sha256(b"".join(image.tobytes() for image in images)).hexdigest()


def main() -> int:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--compare", action="store_true")
    options = parser.parse_args()
    drawn = hashes()
    if not options.compare:
        options.file.write_text(json.dumps(drawn, indent=1))
        return 0
    recorded = json.loads(options.file.read_text())
    changed = sorted(name for name in {*recorded, *drawn} if recorded.get(name) != drawn.get(name))
    print(f"{len(recorded)} images, changed: {', '.join(changed) or 'none'}")
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
