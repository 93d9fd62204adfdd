"""Whether a LoRA or a ControlNet fits a checkpoint, by what the scan keeps of the shapes in their files. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gpu_runner.protocol.families.registry import FAMILIES

from .adapter_layouts import TEXT, TEXT_2, UNET, read_adapter
from .adapter_shapes import fits, requirements
from .config_inference import infer
from .controlnet_config import infer_controlnet
from .ldm_modules import unet_pairs
from .network_shapes import clip_weights, unet_weights
from .safetensors_header import Metadata, Shape, Shapes
from .safetensors_models import Identified

Architecture = dict[str, Any]  # JSON

UNET_KEYS = (
    "in_channels",
    "out_channels",
    "block_out_channels",
    "layers_per_block",
    "down_block_types",
    "up_block_types",
    "transformer_layers_per_block",
    "cross_attention_dim",
    "use_linear_projection",
    "addition_embed_type",
    "projection_class_embeddings_input_dim",
)
TEXT_KEYS = ("hidden_size", "intermediate_size", "num_hidden_layers", "projection_dim")
# What a ControlNet shares with its UNet. Its outputs are added to those of the down blocks, level by level.
SHARED_KEYS = ("block_out_channels", "cross_attention_dim", "layers_per_block")


def architecture_of(found: Identified, shapes: Shapes, metadata: Metadata) -> Architecture:
    """What ``misfit`` compares, of a usable file; empty for other kinds than LoRAs, ControlNets and checkpoints."""
    if found.problem:
        return {}
    if found.kind == "checkpoint" and FAMILIES[found.family].flow is None:
        config = infer(shapes, found.family, metadata)
        encoders = [
            {key: encoder.config[key] for key in TEXT_KEYS} | {"projects": encoder.projects}
            for encoder in config.text_encoders
        ]
        return {"unet": _kept(config.unet), "text": encoders}
    if found.kind == "checkpoint":
        return {"width": found.detail["width"]}
    if found.kind == "controlnet" and found.detail["layout"] == "transformer":
        return {"width": found.detail["width"]}
    if found.kind == "controlnet":
        return {"unet": _kept(infer_controlnet(shapes, found.family, metadata))}
    if found.kind == "lora":
        modules: dict[str, dict[str, Any]] = {}
        for module, requirement in requirements(read_adapter(shapes), shapes).items():
            modules.setdefault(module.part, {})[module.name] = requirement
        return {"modules": modules}
    return {}


def _kept(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config[key] for key in UNET_KEYS if key in config}


def misfit(part: Architecture, checkpoint: Architecture) -> str:
    """Why the LoRA or ControlNet cannot be used with the checkpoint; empty if it can, or if the scan kept nothing."""
    if not part or not checkpoint:
        return ""
    if (
        "width" in checkpoint or "width" in part
    ):  # of a transformer, whose LoRAs are recognized by the names of its modules
        return width_misfit(part.get("width"), checkpoint.get("width"))
    if "modules" in part:
        return _misfit_of_adapter(part["modules"], _weights(json.dumps(checkpoint, sort_keys=True)))
    return control_misfit(part["unet"], checkpoint["unet"])


def width_misfit(control: int | None, transformer: int | None) -> str:
    """Why a ControlNet does not fit a transformer of its family; empty if it does, or if one width is not known."""
    if control is None or transformer is None or control == transformer:
        return ""
    return f"its blocks are {control} wide, those of the checkpoint {transformer}"


def control_misfit(control: Mapping[str, Any], unet: Mapping[str, Any]) -> str:
    """The first difference of two configurations; empty if a ControlNet fits a UNet."""
    for key in SHARED_KEYS:
        own, of_unet = _listed(control[key]), _listed(unet[key])
        if own != of_unet:
            return f"its {key} is {own}, that of the checkpoint {of_unet}"
    return ""


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _misfit_of_adapter(modules: Mapping[str, Mapping[str, Any]], weights: Mapping[str, Shape]) -> str:
    found = False
    for part, required in modules.items():
        for name, requirement in required.items():
            weight = weights.get(f"{part}.{name}")
            if weight is None:  # skipped, as in A1111
                continue
            found = True
            if not fits(requirement, weight):
                size = "x".join(map(str, requirement.get("delta", ()))) or "another shape"
                return f"{name} has the shape {'x'.join(map(str, weight))} there (got {size})"
    return "" if found else "it changes none of its layers"


@lru_cache(64)
def _weights(checkpoint: str) -> dict[str, Shape]:
    """Shapes of a checkpoint's weights by part and flat name, in the names of diffusers and of the LDM layout."""
    architecture = json.loads(checkpoint)
    unet, weights = unet_weights(architecture["unet"]), {}
    for pair in unet_pairs(architecture["unet"]):
        for alias in pair:
            flat = alias.replace(".", "_")
            if pair[1] in unet:
                weights[f"{UNET}.{flat}"] = weights[f"{UNET}.{flat.removesuffix('_0')}"] = unet[pair[1]]
    for part, encoder in zip((TEXT, TEXT_2), architecture["text"], strict=False):
        for name, shape in clip_weights(encoder).items():
            weights[f"{part}.{name.replace('.', '_')}"] = shape
        if encoder["projects"]:
            weights[f"{part}.text_projection"] = (encoder["projection_dim"], encoder["hidden_size"])
    return weights
