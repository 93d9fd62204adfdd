"""Workflow templates as fleets use them, for a ComfyUI double: FLUX with separate loaders and a sampler of parts."""

from __future__ import annotations

import copy
from typing import Any

FLUX: dict[str, Any] = {
    "4": {
        "class_type": "UNETLoader",
        "inputs": {"unet_name": "flux1-dev.safetensors", "weight_dtype": "default"},
    },
    "11": {
        "class_type": "DualCLIPLoader",
        "inputs": {"clip_name1": "clip_l.safetensors", "clip_name2": "t5xxl.safetensors", "type": "flux"},
    },
    "10": {"class_type": "VAELoader", "inputs": {"vae_name": "sepia.safetensors"}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["11", 0]}},
    "26": {"class_type": "FluxGuidance", "inputs": {"conditioning": ["6", 0], "guidance": 3.5}},
    "22": {"class_type": "BasicGuider", "inputs": {"model": ["4", 0], "conditioning": ["26", 0]}},
    "16": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
    "17": {
        "class_type": "BasicScheduler",
        "inputs": {"model": ["4", 0], "scheduler": "simple", "steps": 8, "denoise": 1.0},
    },
    "25": {"class_type": "RandomNoise", "inputs": {"noise_seed": 0}},
    "27": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 1024, "height": 1024, "batch_size": 1}},
    "13": {
        "class_type": "SamplerCustomAdvanced",
        "inputs": {
            "noise": ["25", 0],
            "guider": ["22", 0],
            "sampler": ["16", 0],
            "sigmas": ["17", 0],
            "latent_image": ["27", 0],
        },
    },
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["13", 0], "vae": ["10", 0]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "flux"}},
}
FLUX_SLOTS = {
    "prompt": "6.text",
    "seed": "25.noise_seed",
    "width": "27.width",
    "height": "27.height",
    "filename_prefix": "9.filename_prefix",
}
FLUX_FILES = ("flux1-dev.safetensors", "clip_l.safetensors", "t5xxl.safetensors", "sepia.safetensors")


def flux(**changes: dict[str, Any]) -> dict[str, Any]:
    """Return the FLUX graph with changed inputs, by node."""
    graph = copy.deepcopy(FLUX)
    for key, inputs in changes.items():
        graph[key.removeprefix("node_")]["inputs"] |= inputs
    return graph


VIDEO_SAVERS: dict[str, dict[str, Any]] = {
    "SaveAnimatedWEBP": {"images": ["8", 0], "fps": 8, "lossless": True, "quality": 90},
    "SaveAnimatedPNG": {"images": ["8", 0], "fps": 8, "compress_level": 4},
    "SaveWEBM": {"images": ["8", 0], "codec": "vp9", "fps": 8, "crf": 30},
    "SaveVideo": {"video": ["7", 0], "format": "auto", "codec": "auto"},
    "VHS_VideoCombine": {
        "images": ["8", 0],
        "frame_rate": 8,
        "loop_count": 0,
        "format": "video/h264-mp4",
        "pingpong": False,
        "save_output": True,
    },
}


def video_template(saver: str, *, from_image: bool = False) -> tuple[dict[str, Any], dict[str, str]]:
    """Return graph and slots of a workflow that makes a video of a text, or of an image, like those for Wan."""
    graph = copy.deepcopy(FLUX)
    size = {"width": 64, "height": 48, "length": 9, "batch_size": 1}
    graph["27"] = {"class_type": "EmptyHunyuanLatentVideo", "inputs": size}
    graph["7"] = {"class_type": "CreateVideo", "inputs": {"images": ["8", 0], "fps": 8}}
    graph["9"] = {"class_type": saver, "inputs": {**VIDEO_SAVERS[saver], "filename_prefix": "wan"}}
    fps = {"SaveVideo": "7.fps", "VHS_VideoCombine": "9.frame_rate"}.get(saver, "9.fps")
    slots = {
        **FLUX_SLOTS,
        "num_inference_steps": "17.steps",
        "guidance_scale": "26.guidance",
        "video.frames": "27.length",
        "video.fps": fps,
    }
    if from_image:
        graph["30"] = {"class_type": "LoadImage", "inputs": {"image": "x.png"}}
        graph["27"] = {
            "class_type": "WanImageToVideo",
            "inputs": {
                **size,
                "positive": ["6", 0],
                "negative": ["6", 0],
                "vae": ["10", 0],
                "start_image": ["30", 0],
            },
        }
        graph["13"]["inputs"]["latent_image"] = ["27", 2]
        slots["init_images"] = "30.image"
    return graph, slots
