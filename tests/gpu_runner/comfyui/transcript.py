"""Records the responses and frames of a ComfyUI server for one prompt, as types without values.

``python -m tests.gpu_runner.comfyui.transcript URL`` records a real server, into ``transcript.json``.
"""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect

from gpu_runner.comfyui.progress_socket import FEATURE_FLAGS

RECORDED = Path(__file__).with_name("transcript.json")
END_TYPES = ("execution_success", "execution_error", "execution_interrupted")


def transcript(url: str) -> dict[str, Any]:
    """Return the transcript of an executed and of a rejected prompt."""
    with httpx.Client(base_url=url, timeout=600) as http:
        checkpoint = http.get("/object_info").json()
        [name, *_others] = checkpoint["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0]
        client_id, prompt_id = str(uuid.uuid4()), str(uuid.uuid4())
        sent = {"prompt": _graph(name), "client_id": client_id, "prompt_id": prompt_id}
        with connect(f"{url.replace('http', 'ws', 1)}/ws?clientId={client_id}") as socket:
            socket.send(FEATURE_FLAGS)
            accepted = http.post("/prompt", json=sent).json()
            queue = http.get("/queue").json()
            frames = _frames(socket)
        rejected = http.post("/prompt", json=sent | {"prompt": _graph("no such file")})
        return {
            "frames": frames,
            "POST /prompt": shape(accepted),
            "POST /prompt refused": shape(rejected.json()),
            "GET /queue": shape(queue),
            "GET /history": shape(http.get(f"/history/{prompt_id}").json()[prompt_id]["status"]),
            "outputs": shape(http.get(f"/history/{prompt_id}").json()[prompt_id]["outputs"]),
            "GET /system_stats": shape(http.get("/system_stats").json()),
        }


def _frames(socket: Any) -> dict[str, Any]:
    """Return each type of frame, in the order of its first occurrence."""
    frames: dict[str, Any] = {}
    while True:
        frame = socket.recv(timeout=600)
        if isinstance(frame, bytes):
            frames.setdefault(f"binary {int.from_bytes(frame[:4], 'big')}", "bytes")
            continue
        message = json.loads(frame)
        frames.setdefault(message["type"], shape(message["data"]))
        if message["type"] in END_TYPES:
            return frames


def shape(value: Any) -> Any:
    """Replace values by type names. Lists and numbered objects are represented by their first item."""
    if isinstance(value, dict):
        names = sorted(value)
        if names and all(name.isdecimal() for name in names):
            return {"#": shape(value[names[0]])}
        return {name: shape(value[name]) for name in names}
    if isinstance(value, list):
        return [shape(value[0])] if value and isinstance(value[0], dict) else []
    return (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    )


def _graph(checkpoint: str) -> dict[str, Any]:
    sampler = {
        "seed": 5,
        "steps": 2,
        "cfg": 7.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
    }
    latent = {"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0]}
    nodes = {
        "1": ("CheckpointLoaderSimple", {"ckpt_name": checkpoint}),
        "2": ("CLIPTextEncode", {"clip": ["1", 1], "text": "a red circle"}),
        "3": ("CLIPTextEncode", {"clip": ["1", 1], "text": ""}),
        "4": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        "5": ("KSampler", sampler | latent),
        "6": ("VAEDecode", {"samples": ["5", 0], "vae": ["1", 2]}),
        "7": ("SaveImage", {"images": ["6", 0], "filename_prefix": "transcript"}),
    }
    return {number: {"class_type": kind, "inputs": inputs} for number, (kind, inputs) in nodes.items()}


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(transcript(sys.argv[1]), indent=1, sort_keys=False) + "\n")
