"""Whether the engine can use a model file, and why not, from the names and shapes of its tensors.

The scan, admission and the engine's loaders share this check, so that no job finds out what the scan could have told.
No torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import prod

from gpu_runner.protocol.families.registry import DRAWN, FAMILIES

from . import layer_numbers
from .adapter_layouts import read_adapter
from .adapter_shapes import requirements
from .config_inference import (
    VAE,
    TextEncoder,
    infer,
    infer_diffusers_vae,
    infer_vae,
    read_overrides,
)
from .controlnet_config import infer_controlnet, is_ldm
from .ldm_modules import Pair, controlnet_pairs, unet_pairs, vae_pairs
from .network_shapes import clip_weights, controlnet_weights, unet_weights, vae_weights
from .parts.problems import (
    encoder_names,
    text_encoder_problem,
    transformer_controlnet_problem,
    transformer_problem,
)
from .parts.unsupported import CONTROL_KINDS, MAX_NAME, OTHER_KINDS, QUANTIZED
from .parts.vaes import QWEN_IMAGE, three_dimensional_problem, with_outer_convolutions
from .safetensors_header import Shape
from .safetensors_models import (
    CONTROL,
    UNET,
    UNKNOWN,
    Identified,
    Metadata,
    Shapes,
    has_text_encoder,
    identify,
    name_shapes_below,
)

DIFFUSION_FAMILIES = ("sd15", "sd2", "sdxl")
TRANSFORMER_FAMILIES = frozenset(FAMILIES) - set(DIFFUSION_FAMILIES)
IMAGE_LATENTS, INPAINTING_LATENTS, INSTRUCT_LATENTS = 4, 9, 8  # input channels of a UNet
DEPTH_LATENTS = 5
# Context widths of SD 1.x and SDXL, whose CLIP is published in files of its own, so that a UNet alone can be used.
WIDTHS_OF_SEPARATE_CLIP = (768, 2048)
HINT_CHANNELS = 3


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
    if not has_text_encoder(shapes) and found.detail["cross_attention_dim"] not in WIDTHS_OF_SEPARATE_CLIP:
        return f"it has no text encoder{encoder_names(found.family)}"
    if found.family not in DIFFUSION_FAMILIES:
        return "its text encoder is not that of Stable Diffusion 1, 2 or XL"
    configs = infer(shapes, found.family, metadata)
    tensors = _tensors_of(unet_pairs(configs.unet), unet_weights(configs.unet), UNET)
    for encoder in configs.text_encoders:
        tensors |= _text_encoder_tensors(encoder, shapes)
    numbers = (layer_numbers.text_encoder_problem(encoder.config) for encoder in configs.text_encoders)
    return (
        _difference(tensors, shapes)
        or layer_numbers.network_problem(configs.unet)
        or next(filter(None, numbers), "")
    )


def _text_encoder(found: Identified, shapes: Shapes, metadata: Metadata) -> str:
    return text_encoder_problem(found.detail["encoder"], shapes)


def _vae(found: Identified, shapes: Shapes, metadata: Metadata) -> str:
    families = found.detail["families"]
    if not families:
        return f"its latents have {found.detail['latent_channels']} channels, which no supported family has"
    if not set(families) & set(DRAWN):
        labels = ", ".join(FAMILIES[family].label for family in families)
        return f"it is a VAE for {labels}, which is not drawn here yet"
    if found.detail["families"] == QWEN_IMAGE:
        return three_dimensional_problem(shapes, found.detail["prefix"])
    return _vae_problem(shapes, found.detail["prefix"], metadata, found)


def _vae_problem(shapes: Shapes, prefix: str, metadata: Metadata, found: Identified) -> str:
    inner = with_outer_convolutions(name_shapes_below(shapes, prefix))
    diffusers = found.detail.get("layout") == "diffusers"
    try:
        config = (infer_diffusers_vae if diffusers else infer_vae)(inner, "")
        config |= read_overrides(metadata)["vae"]
    except ValueError as error:
        return str(error)
    if diffusers:
        inner = {current_vae_name(name): shape for name, shape in inner.items()}
    expected = _tensors_of(vae_pairs(config), vae_weights(config), diffusers=diffusers)
    return _difference(expected, inner) or layer_numbers.network_problem(config)


def _controlnet(found: Identified, shapes: Shapes, metadata: Metadata) -> str:
    if other := _name_of(CONTROL_KINDS, shapes):
        return f"it is {other}, which is not supported"
    if found.detail["layout"] == "transformer":
        return transformer_controlnet_problem(shapes)
    config = infer_controlnet(shapes, found.family, metadata)
    inner = name_shapes_below(shapes, CONTROL) or shapes
    if config["in_channels"] != IMAGE_LATENTS or config["conditioning_channels"] != HINT_CHANNELS:
        return (
            f"it must read {IMAGE_LATENTS} channels of latents and {HINT_CHANNELS} of an image "
            f"(got {config['in_channels']} and {config['conditioning_channels']})"
        )
    pairs, weights = controlnet_pairs(config), controlnet_weights(config)
    expected = _tensors_of(pairs, weights, diffusers=not is_ldm(inner))
    return _difference(expected, inner) or layer_numbers.network_problem(config)


def _lora(found: Identified, shapes: Shapes, metadata: Metadata) -> str:
    requirements(read_adapter(shapes), shapes)
    return ""


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
    "lora": _lora,
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


def _tensors_of(
    pairs: Iterable[Pair], weights: Mapping[str, Shape], prefix: str = "", *, diffusers: bool = False
) -> dict[str, Shape]:
    """Shapes of the tensors that a file must have, by name, in the LDM layout or that of diffusers."""
    found: dict[str, Shape] = {}
    for ldm, name in pairs:
        if (
            name in weights
        ):  # a VAE's and a ControlNet's pairs have all of them, a UNet's some shortcuts too many
            found |= _with_bias(name if diffusers else f"{prefix}{ldm}", weights[name])
    return found


def _with_bias(module: str, weight: Shape) -> dict[str, Shape]:
    own: dict[str, Shape] = {f"{module}.weight": weight}
    return own if WITHOUT_BIAS.search(module) else own | {f"{module}.bias": weight[:1]}


def _text_encoder_tensors(encoder: TextEncoder, shapes: Shapes) -> dict[str, Shape]:
    width, prefix = encoder.config["hidden_size"], encoder.prefix
    inner: int = encoder.config["intermediate_size"]
    found: dict[str, Shape] = {}
    if encoder.is_open_clip:
        found |= _with_bias(f"{prefix}ln_final", (width,))
        found |= {f"{prefix}positional_embedding": (encoder.config["max_position_embeddings"], width)}
        for layer in range(encoder.config["num_hidden_layers"]):
            start = f"{prefix}transformer.resblocks.{layer}"
            found |= {
                f"{start}.attn.in_proj_weight": (3 * width, width),
                f"{start}.attn.in_proj_bias": (3 * width,),
            }
            found |= _with_bias(f"{start}.attn.out_proj", (width, width))
            found |= _with_bias(f"{start}.mlp.c_fc", (inner, width))
            found |= _with_bias(f"{start}.mlp.c_proj", (width, inner))
            for norm in ("ln_1", "ln_2"):
                found |= _with_bias(f"{start}.{norm}", (width,))
        return found
    if f"{prefix}text_model.embeddings.token_embedding.weight" in shapes:
        prefix += "text_model."
    positions = encoder.config["max_position_embeddings"]
    found[f"{prefix}embeddings.position_embedding.weight"] = (positions, width)
    for module, weight in clip_weights(encoder.config).items():
        found |= _with_bias(f"{prefix}{module}", weight)
    return found


def _difference(expected: Mapping[str, Shape], shapes: Shapes) -> str:
    """What is missing of a file, or has another number of elements: 1x1 convolutions and linear layers are interchangeable."""
    if missing := [name for name in expected if name not in shapes]:
        return f"missing tensor {missing[0]}" + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
    for name, shape in expected.items():
        if prod(shapes[name]) != prod(shape):
            return f"{name[:MAX_NAME]} must have the shape {shape} (got {shapes[name]})"
    return ""
