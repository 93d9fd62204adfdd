"""Whether the engine can use a model file, and why not, from the names and shapes of its tensors.

The scan, admission and the engine's loaders share this check, so that no job finds out what the scan could have told.
No torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from gpu_runner.protocol.families.registry import DRAWN, FAMILIES

from .config_inference import (
    VAE,
    TextEncoder,
    infer_diffusers_vae,
    infer_text_encoders,
    infer_unet,
    infer_vae,
    read_overrides,
)
from .controlnet_config import infer_controlnet, is_ldm
from .ldm_modules import Pair, controlnet_pairs, unet_pairs, vae_pairs
from .parts.problems import encoder_names, missing_tensors, text_encoder_problem, transformer_problem
from .parts.unsupported import CONTROL_KINDS, MAX_NAME, OTHER_KINDS, QUANTIZED
from .safetensors_models import (
    CONTROL,
    UNET,
    UNKNOWN,
    Identified,
    Metadata,
    Shapes,
    identify,
    name_shapes_below,
)

DIFFUSION_FAMILIES = ("sd15", "sd2", "sdxl")
TRANSFORMER_FAMILIES = frozenset(FAMILIES) - set(DIFFUSION_FAMILIES)
IMAGE_LATENTS, INPAINTING_LATENTS, INSTRUCT_LATENTS = 4, 9, 8  # input channels of a UNet
DEPTH_LATENTS = 5


def inspect(shapes: Shapes, metadata: Metadata | None = None, storage_problem: str = "") -> Identified:
    """Detect kind and family, and the problem for which the engine cannot use the file, if there is one.

    ``storage_problem``: why its weights cannot be decoded, which precedes all other problems.
    """
    metadata = metadata or {}
    found = identify(shapes, metadata)
    if storage_problem:
        found = replace(found, problem=storage_problem)
    if not found.problem:
        found = replace(found, problem=_problem(found, shapes, metadata))
    has_own_vae = found.family in DIFFUSION_FAMILIES and found.detail.get("has_vae", False)
    if found.kind == "checkpoint" and has_own_vae and _vae_problem(shapes, VAE, metadata, found):
        found = replace(found, detail={**found.detail, "has_vae": False})
    return found


def _problem(found: Identified, shapes: Shapes, metadata: Metadata) -> str:
    if name := next(filter(QUANTIZED.search, shapes), ""):
        return f"its weights are quantized ({name[:MAX_NAME]}), which is not supported"
    try:
        return CHECKS[found.kind](found, shapes, metadata) if found.kind in CHECKS else ""
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # The functions that infer configurations expect well-formed shapes; the file is untrusted input.
        return str(error) if isinstance(error, ValueError) else "its tensors have unexpected shapes"


def _name_of(kinds: Iterable[tuple[re.Pattern[str], str]], shapes: Shapes) -> str:
    """What the names of the tensors tell; empty if nothing."""
    return next((text for pattern, text in kinds if any(map(pattern.search, shapes))), "")


def _unknown(found: Identified, shapes: Shapes, metadata: Metadata) -> str:
    if not shapes:
        return "it contains no tensors"
    if other := _name_of(OTHER_KINDS, shapes):
        return f"it is {other}, which is not supported"
    names = ", ".join(name[:MAX_NAME] for name in list(shapes)[:2])
    return f"its tensors match no supported kind of model (for example {names})"


def _checkpoint(found: Identified, shapes: Shapes, metadata: Metadata) -> str:
    if found.family in TRANSFORMER_FAMILIES:
        return transformer_problem(found.family, shapes)
    channels = found.detail["in_channels"]
    if channels == DEPTH_LATENTS:
        return "it is a depth2img checkpoint, which is not supported: use a depth ControlNet instead"
    if channels not in (IMAGE_LATENTS, INPAINTING_LATENTS, INSTRUCT_LATENTS):
        return (
            f"its UNet has {channels} input channels; supported are {IMAGE_LATENTS}, "
            f"{INPAINTING_LATENTS} (inpainting) and {INSTRUCT_LATENTS} (InstructPix2Pix)"
        )
    if not any(name.startswith(("cond_stage_model.", "conditioner.embedders.")) for name in shapes):
        return f"it has no text encoder{encoder_names(found.family)}"
    if found.family not in DIFFUSION_FAMILIES:
        return "its text encoder is not that of Stable Diffusion 1, 2 or XL"
    overrides = read_overrides(metadata)
    unet = infer_unet(name_shapes_below(shapes, UNET), found.family) | overrides["unet"]
    names = _ldm_names(unet_pairs(unet), UNET)
    for encoder in infer_text_encoders(shapes, found.family):
        names = [*names, *_text_encoder_names(encoder, shapes)]
    return missing_tensors(names, shapes)


def _text_encoder(found: Identified, shapes: Shapes, metadata: Metadata) -> str:
    return text_encoder_problem(found.detail["encoder"], shapes)


def _vae(found: Identified, shapes: Shapes, metadata: Metadata) -> str:
    families = found.detail["families"]
    if not families:
        return f"its latents have {found.detail['latent_channels']} channels, which no supported family has"
    if not set(families) & set(DRAWN):
        labels = ", ".join(FAMILIES[family].label for family in families)
        return f"it is a VAE for {labels}, which is not drawn here yet"
    return _vae_problem(shapes, found.detail["prefix"], metadata, found)


def _vae_problem(shapes: Shapes, prefix: str, metadata: Metadata, found: Identified) -> str:
    inner = name_shapes_below(shapes, prefix)
    diffusers = found.detail.get("layout") == "diffusers"
    try:
        config = (infer_diffusers_vae if diffusers else infer_vae)(inner, "")
        config |= read_overrides(metadata)["vae"]
    except ValueError as error:
        return str(error)
    if diffusers:
        inner = {current_vae_name(name): shape for name, shape in inner.items()}
        return missing_tensors(_diffusers_names(vae_pairs(config)), inner)
    return missing_tensors(_ldm_names(vae_pairs(config), ""), inner)


def _controlnet(found: Identified, shapes: Shapes, metadata: Metadata) -> str:
    if other := _name_of(CONTROL_KINDS, shapes):
        return f"it is {other}, which is not supported"
    if found.detail["layout"] == "transformer":
        return f"it is a ControlNet for {FAMILIES[found.family].label}, which is not drawn here yet"
    config = infer_controlnet(shapes, found.family, metadata)
    inner = name_shapes_below(shapes, CONTROL) or shapes
    pairs = controlnet_pairs(config)
    return missing_tensors(_ldm_names(pairs, "") if is_ldm(inner) else _diffusers_names(pairs), inner)


def _upscaler(found: Identified, shapes: Shapes, metadata: Metadata) -> str:
    """The networks read RGB pixels; ESRGAN may pack 2x2 or 4x4 of them into channels."""
    first = next((shape for name, shape in shapes.items() if FIRST_CONVOLUTION.search(name)), ())
    if len(first) == 4 and first[1] not in (3, 12, 48):
        return f"it must read RGB images (got {first[1]} channels)"
    return ""


FIRST_CONVOLUTION = re.compile(r"^(params_ema\.|params\.)?(conv_first|model\.0|body\.0)\.weight$")


def _embedding(found: Identified, shapes: Shapes, metadata: Metadata) -> str:
    if not found.detail["vectors"] or not found.detail["width"]:
        return "it has no vectors"
    return ""


CHECKS: dict[str, Callable[[Identified, Shapes, Metadata], str]] = {
    UNKNOWN: _unknown,
    "checkpoint": _checkpoint,
    "vae": _vae,
    "text_encoder": _text_encoder,
    "controlnet": _controlnet,
    "upscaler": _upscaler,
    "embedding": _embedding,
}

# Attention layers of VAEs in older diffusers releases, before they were unified.
OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD_NAME = re.compile(rf"(attentions\.0\.)({'|'.join(OLD_ATTENTION)})\.")


def current_vae_name(name: str) -> str:
    """Name of a VAE tensor in current diffusers releases."""
    return _OLD_NAME.sub(lambda match: f"{match[1]}{OLD_ATTENTION[match[2]]}.", name)


WITHOUT_BIAS = re.compile(r"attn[12]\.to_[qkv]$")


def _ldm_names(pairs: Iterable[Pair], prefix: str) -> list[str]:
    return [name for ldm, _diffusers in pairs for name in _tensors(f"{prefix}{ldm}")]


def _diffusers_names(pairs: Iterable[Pair]) -> list[str]:
    return [name for _ldm, diffusers in pairs for name in _tensors(diffusers)]


def _tensors(module: str) -> Iterator[str]:
    yield f"{module}.weight"
    if not WITHOUT_BIAS.search(module):
        yield f"{module}.bias"


def _text_encoder_names(encoder: TextEncoder, shapes: Shapes) -> Iterator[str]:
    layers: int = encoder.config["num_hidden_layers"]
    if encoder.is_open_clip:
        yield f"{encoder.prefix}ln_final.weight"
        for layer in range(layers):
            start = f"{encoder.prefix}transformer.resblocks.{layer}"
            yield from (f"{start}.attn.in_proj_{kind}" for kind in ("weight", "bias"))
            for module in ("attn.out_proj", "mlp.c_fc", "mlp.c_proj", "ln_1", "ln_2"):
                yield from _tensors(f"{start}.{module}")
        return
    prefix = encoder.prefix
    if f"{prefix}text_model.embeddings.token_embedding.weight" in shapes:
        prefix += "text_model."
    yield from _tensors(f"{prefix}final_layer_norm")
    for layer in range(layers):
        for module in CLIP_MODULES:
            yield from _tensors(f"{prefix}encoder.layers.{layer}.{module}")


CLIP_MODULES = (
    *(f"self_attn.{name}_proj" for name in ("q", "k", "v", "out")),
    *("mlp.fc1", "mlp.fc2", "layer_norm1", "layer_norm2"),
)
