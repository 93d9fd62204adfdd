"""Real ComfyUI servers for tests, with models of random weights.

``COMFYUI_CHECKOUT`` is a checkout of ComfyUI, ``COMFYUI_PYTHON`` an interpreter with its requirements, ``COMFYUI_BASE`` a folder
with 4 GB of free space, which keeps the models between runs.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import httpx
import torch
from diffusers import ControlNetModel
from safetensors.torch import save_file

from demo.architectures.random_models import write_family
from tests.dialects.smzdm.seed import FIRST, SECOND
from tests.e2e.installation import eventually
from tests.support.ports import free_port

CHECKOUT = os.environ.get("COMFYUI_CHECKOUT", "")
PYTHON = os.environ.get("COMFYUI_PYTHON", "python3")
BASE = Path(os.environ.get("COMFYUI_BASE", ""))


LINEART = """
class LineArtPreprocessor:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"image": ("IMAGE",)}})
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "lines"
    CATEGORY = "tests"

    def lines(self, image):
        grey = image.mean(-1, keepdim=True)
        edges = (grey - grey.roll(1, 1)).abs() + (grey - grey.roll(1, 2)).abs()
        return (edges.clamp(0, 1).expand(-1, -1, -1, 3),)


NODE_CLASS_MAPPINGS = {"LineArtPreprocessor": LineArtPreprocessor}
"""


class ComfyServer:
    """A server that can be killed and started again on the same port."""

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = log
        self.start()

    def start(self) -> None:
        page = BASE / "page"
        page.mkdir(exist_ok=True)
        (page / "index.html").write_text("")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *[PYTHON, "main.py", "--cpu", "--port", str(self.port), "--base-directory", str(BASE)],
                    *["--disable-all-custom-nodes", "--whitelist-custom-nodes", "lineart.py"],
                    *["--disable-api-nodes", "--front-end-root", str(page)],
                    *["--database-url", "sqlite:///:memory:", "--preview-method", "latent2rgb"],
                ],
                cwd=CHECKOUT,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        eventually(self._responds, f"ComfyUI responds; see {self._log}")

    def _responds(self) -> bool:
        try:
            return httpx.get(f"{self.url}/system_stats").status_code == 200
        except httpx.HTTPError:
            return False

    def queue(self) -> list[str]:
        """Ids of running and queued prompts."""
        response = httpx.get(f"{self.url}/queue").json()
        return [item[1] for item in (*response["queue_running"], *response["queue_pending"])]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def write_models() -> None:
    """Write the model files of the two example requests, and a node that replaces the one of comfyui_controlnet_aux."""
    models, nodes = BASE / "models", BASE / "custom_nodes"
    nodes.mkdir(exist_ok=True)
    (nodes / "lineart.py").write_text(LINEART)
    for folder in ("checkpoints", "loras", "controlnet"):
        (models / folder).mkdir(parents=True, exist_ok=True)
    first, second = (models / "checkpoints" / example["sd_model_checkpoint"] for example in (FIRST, SECOND))
    if not first.exists():
        write_family("sd15", first)
    if not second.exists():
        second.hardlink_to(first)
    for example in (FIRST, SECOND):
        _write_lora(models / "loras" / example["sd_lora_name"][0])
    control = models / "controlnet" / SECOND["control_model"]
    if not control.exists():
        torch.save(ControlNetModel(cross_attention_dim=768).half().state_dict(), control)


def _write_lora(path: Path) -> None:
    """One layer, of rank 1."""
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    save_file(
        {f"{layer}.lora_down.weight": torch.randn(1, 320), f"{layer}.lora_up.weight": torch.randn(320, 1)},
        path,
    )
