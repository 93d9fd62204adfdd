"""Videos: the fields of the GenerationRequest. What a request leaves open is left to the workflow."""

from __future__ import annotations

from typing import Any

from access.models import BusinessSource
from dialects.stablediffusionapi.endpoints import Endpoint
from jobs.admission.submission import PREVIEWS_FOR_OPS, random_seed

from . import sizes
from .images import InputImages
from .prompts import prompt_fields
from .schedulers import sampling

DEFAULT_FPS = 16.0  # of ``seconds`` without ``fps``; the vendor's maximum
GIVEN = {
    "guidance_scale": "guidance_scale",
    "num_inference_steps": "num_inference_steps",
    "strength": "strength",
    "clip_skip": "clip_skip",
    "model_id": "checkpoint",
    "vae": "vae",
}


def video(
    endpoint: Endpoint, source: BusinessSource, values: dict[str, Any], images: InputImages
) -> dict[str, Any]:
    """Fields of a video of a text, or of an image."""
    fields: dict[str, Any] = {
        "task": "txt2img",
        "seed": random_seed() if values["seed"] is None else values["seed"],
        "num_images": values["samples"] or 1,
        "preview_every": PREVIEWS_FOR_OPS,
        "video": _length(values),
        **prompt_fields(values, source),
        **{field: values[name] for name, field in GIVEN.items() if values[name] is not None},
    }
    if values["scheduler"]:
        fields |= sampling(
            values["scheduler"],
            karras=values["use_karras_sigmas"],
            algorithm=values["algorithm_type"] or "none",
        )
    if endpoint.task == "img2video":
        init = images.take("init_image", values["init_image"])
        size = sizes.of_image(values, images.size_of(init))
        fields |= {"task": "img2img", "init_images": [init], "width": size[0], "height": size[1]}
    elif values["width"] or values["height"]:
        size = sizes.requested(values)
        fields |= {"width": size[0], "height": size[1]}
    return fields


def _length(values: dict[str, Any]) -> dict[str, Any]:
    """Frames and frames per second. ``num_frames`` takes precedence over ``seconds``."""
    frames, fps = values["num_frames"], values["fps"]
    if frames is None and values["seconds"] is not None:
        fps = fps or DEFAULT_FPS
        frames = max(2, round(values["seconds"] * fps))
    return {"frames": frames, "fps": fps}
