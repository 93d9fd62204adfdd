"""Maps LoRA tensor names of the common training tools (kohya, diffusers, PEFT) to checkpoint modules."""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

from diffusers import UNet2DConditionModel
from torch import nn

from gpu_runner.models.conversion.ldm_keys import unet_pairs
from gpu_runner.networks.loaded import LoadedCheckpoint

# Tensor name suffix -> role of the tensor. A longer suffix precedes the shorter ones that it ends with.
PARTS = {
    ".lora_linear_layer.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    "_lora.down.weight": "down",
    "_lora.up.weight": "up",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora_mid.weight": "mid",
    ".lora_A.default.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".alpha": "alpha",
    ".dora_scale": "dora",
    ".lora_magnitude_vector": "dora",
    ".oft_blocks": "oft",
    ".oft_diag": "oft",
    ".diff": "diff",
    ".diff_b": "diff_b",
    **{f".hada_{part}": f"hada_{part}" for part in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f".lokr_{part}": f"lokr_{part}" for part in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t1", "t2")},
}
PREFIXES = {
    "unet_": "lora_unet_",
    "text_encoder_2_": "lora_te2_",
    "text_encoder_": "lora_te_",
}


class Target(NamedTuple):
    """A module of a checkpoint: ``part`` is the checkpoint's attribute, ``path`` the path inside it."""

    part: str
    path: str


def split(tensor_name: str) -> tuple[str, str] | None:
    """Split a tensor name into kohya module name and tensor role; None if it is not a LoRA tensor."""
    for ending, part in PARTS.items():
        if tensor_name.endswith(ending):
            return _kohya(tensor_name.removesuffix(ending)), part
    return None


def targets(checkpoint: LoadedCheckpoint) -> dict[str, Target]:
    """All modules that a LoRA can change, by each of their names. Cached per loaded checkpoint."""
    if checkpoint not in _TARGETS:
        _TARGETS[checkpoint] = _all_targets(checkpoint)
    return _TARGETS[checkpoint]


_TARGETS: WeakKeyDictionary[LoadedCheckpoint, dict[str, Target]] = WeakKeyDictionary()


def _all_targets(checkpoint: LoadedCheckpoint) -> dict[str, Target]:
    named = _unet_targets(checkpoint.unet)
    named |= _text_targets("text_encoder", checkpoint.text_encoder, ("lora_te_", "lora_te1_"))
    if checkpoint.text_encoder_2 is not None:
        named |= _text_targets("text_encoder_2", checkpoint.text_encoder_2, ("lora_te2_",))
    return named


def _kohya(path: str) -> str:
    flat = path.removeprefix("base_model.model.").replace(".processor", "").replace(".", "_")
    for prefix, alias in PREFIXES.items():
        if flat.startswith(prefix):
            return alias + flat.removeprefix(prefix)
    return flat if flat.startswith("lora_") else f"lora_unet_{flat}"


def _unet_targets(unet: UNet2DConditionModel) -> dict[str, Target]:
    paths = _adaptable_paths(unet)
    names = [(alias, path) for path in paths for alias in (path, path.removesuffix(".0"))]
    names += [(ldm, path) for ldm, path in unet_pairs(unet.config)]
    return {f"lora_unet_{name.replace('.', '_')}": Target("unet", path) for name, path in names}


def _text_targets(part: str, encoder: nn.Module, prefixes: tuple[str, ...]) -> dict[str, Target]:
    named = {}
    for path in _adaptable_paths(encoder):
        bare = path.removeprefix("text_model.").replace(".", "_")
        for prefix in prefixes:
            named[f"{prefix}text_model_{bare}"] = named[prefix + bare] = Target(part, path)
    return named


def _adaptable_paths(module: nn.Module) -> list[str]:
    return [path for path, inner in module.named_modules() if isinstance(inner, nn.Linear | nn.Conv2d)]
