"""Detects kind and family of a model file from the names and shapes of its tensors. File names are ignored.

No torch: the platform's background worker uses it in scans.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from .adapter_layouts import BUNDLED, SDXL_STARTS, Adapter, read_adapter
from .adapter_layouts import UNET as UNET_PART
from .parts.descriptions import describe_text_encoder, describe_transformer
from .parts.transformer_loras import describe_transformer_lora
from .parts.vaes import find_vae
from .safetensors_header import Metadata, Shapes, read_safetensors_header
from .standard_modules import has_module
from .storage.tensor_header import Shape
from .transformers.controlnets.recognition import find_transformer_controlnet
from .transformers.recognition import FoundTransformer
from .upscaler_architectures import architecture_of

__all__ = [
    "Identified",
    "Metadata",
    "Shape",
    "Shapes",
    "identify",
    "identify_file",
    "read_safetensors_header",
]

UNKNOWN = "unknown"
FAMILY_OF_CONTEXT = {768: "sd15", 1024: "sd2", 2048: "sdxl", 1280: "sdxl"}  # 1280: the refiner
FAMILY_OF_METADATA = (
    (re.compile(r"sdxl|stable-diffusion-xl"), "sdxl"),
    (re.compile(r"^sd_v2|stable-diffusion-v2"), "sd2"),
    (re.compile(r"^sd_v1|stable-diffusion-v1|^sd_1"), "sd15"),
)
DECLARATIONS = ("ss_base_model_version", "modelspec.architecture")
UNET = "model.diffusion_model."
CONTROL = "control_model."


@dataclass(frozen=True)
class Identified:
    """Detected kind and family, in the registry's terms, and details such as channels, layout or modules.

    ``problem`` is the reason for which the engine cannot use the file; empty if it can.
    """

    kind: str = UNKNOWN
    family: str = UNKNOWN
    detail: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


def identify(shapes: Shapes, metadata: Metadata | None = None) -> Identified:
    """Return the result of the first matching rule; kind "unknown" if none matches.

    ControlNets are tested before checkpoints, because their files may contain one.
    """
    for rule in RULES:
        if found := rule(shapes, metadata or {}):
            return found
    return Identified()


def identify_file(path: Path) -> Identified:
    """Identify a .safetensors file. Raises ValueError if it is not one."""
    return identify(*read_safetensors_header(path))


def _controlnet(shapes: Shapes, metadata: Metadata) -> Identified | None:
    if found := find_transformer_controlnet(shapes):
        return _transformer_controlnet(found)
    ldm = f"{CONTROL}input_hint_block.0.weight" in shapes or "input_hint_block.0.weight" in shapes
    diffusers = "controlnet_cond_embedding.conv_in.weight" in shapes
    if not ldm and not diffusers:
        return None
    context = _context_width(name_shapes_below(shapes, CONTROL) or shapes)
    layout = "ldm" if ldm else "diffusers"
    detail = {"layout": layout, "cross_attention_dim": context, "residuals": _residuals(shapes)}
    return Identified("controlnet", _family(context, metadata), detail)


def _transformer_controlnet(found: FoundTransformer) -> Identified:
    detail: dict[str, Any] = {"layout": "transformer", "residuals": 0}
    try:
        detail |= found.transformer.detail(found.conversion.shapes)
    except (ArithmeticError, IndexError, ValueError) as error:
        reason = str(error) if isinstance(error, ValueError) else "its tensors have unexpected shapes"
        return Identified("controlnet", found.transformer.family, detail, reason)
    return Identified("controlnet", found.transformer.family, detail)


ZERO_CONVOLUTION = re.compile(r"^(control_model\.)?(zero_convs\.\d+\.0|controlnet_down_blocks\.\d+)\.weight$")


def _residuals(shapes: Shapes) -> int:
    """Number of outputs of a ControlNet: one for each zero convolution, and that of the middle block."""
    return sum(bool(ZERO_CONVOLUTION.match(name)) for name in shapes) + 1


def _checkpoint(shapes: Shapes, metadata: Metadata) -> Identified | None:
    conv_in = shapes.get(f"{UNET}input_blocks.0.0.weight")
    if not conv_in or len(conv_in) != 4:
        return None
    context = _context_width(name_shapes_below(shapes, UNET))
    detail = {
        "cross_attention_dim": context,
        "in_channels": conv_in[1],
        "inpainting": conv_in[1] == 9,
        "instruct": conv_in[1] == 8,
        "has_vae": "first_stage_model.decoder.conv_in.weight" in shapes,
        "prediction_type": prediction_type(shapes, metadata),
        "zero_terminal_snr": zero_terminal_snr(shapes, metadata),
        "without_text": not has_text_encoder(shapes),
    }
    return Identified("checkpoint", _family_of_text_encoder(shapes) or _family(context, metadata), detail)


def has_text_encoder(shapes: Shapes) -> bool:
    """Whether a checkpoint of Stable Diffusion contains its text encoders."""
    return any(name.startswith(("cond_stage_model.", "conditioner.embedders.")) for name in shapes)


def _family_of_text_encoder(shapes: Shapes) -> str | None:
    """Return the family by the type of text encoder, which also works for networks of non-standard width."""
    if any(name.startswith("conditioner.embedders.") for name in shapes):
        return "sdxl"
    if "cond_stage_model.model.token_embedding.weight" in shapes:
        return "sd2"
    if any(name.startswith("cond_stage_model.transformer.") for name in shapes):
        return "sd15"
    return None


def _transformer(shapes: Shapes, metadata: Metadata) -> Identified | None:
    """A checkpoint whose denoiser is a transformer, with or without text encoders and VAE."""
    found = describe_transformer(shapes)
    return Identified("checkpoint", found.family, found.detail, found.problem) if found else None


def _text_encoder(shapes: Shapes, metadata: Metadata) -> Identified | None:
    detail = describe_text_encoder(shapes)
    return Identified("text_encoder", UNKNOWN, detail) if detail else None


def prediction_type(shapes: Shapes, metadata: Metadata) -> str | None:
    """Return the prediction type that the file declares, or None. It cannot be derived from shapes."""
    declared = metadata.get("modelspec.prediction_type", "").lower()
    if "v_pred" in shapes or declared in ("v", "v_prediction", "v-prediction"):
        return "v_prediction"
    return "epsilon" if declared in ("epsilon", "eps") else None


def zero_terminal_snr(shapes: Shapes, metadata: Metadata) -> bool:
    """Whether the file declares training with zero terminal SNR."""
    return "ztsnr" in shapes or metadata.get("ss_zero_terminal_snr", "").lower() == "true"


def _adapter(shapes: Shapes, metadata: Metadata) -> Identified | None:
    adapter = read_adapter(shapes)
    if not adapter.is_adapter:
        return None
    readable = {name for name, tensors in adapter.bundled.items() if _can_be_read(tensors, shapes)}
    unreadable = tuple(f"{BUNDLED}{name}" for name in adapter.bundled.keys() - readable)
    width = _cross_attention_width(shapes, adapter)
    absent = tuple(f"{m.start}{m.name}" for m in adapter.modules if not has_module(width, m))
    detail = {
        "modules": len(adapter.modules),
        "left_out": (*adapter.left_out, *absent, *unreadable),
        "bundled": tuple(sorted(readable)),
    }
    if adapter.is_for_another_network and (
        found := describe_transformer_lora(adapter.foreign, shapes, metadata)
    ):
        return Identified("lora", found.family, {**detail, **found.detail}, found.problem)
    if adapter.is_for_another_network:
        problem = f"its modules are not those of a Stable Diffusion UNet ({adapter.foreign[0][:80]}, ...)"
        return Identified("lora", UNKNOWN, detail, problem)
    if not any(module.part == UNET_PART for module in adapter.modules) and (other := _other_family(metadata)):
        return Identified("lora", UNKNOWN, detail, f"it is for {other}, which is not supported")
    return Identified("lora", _family_of_adapter(shapes, adapter, metadata), detail)


def _can_be_read(tensors: Mapping[str, str], shapes: Shapes) -> bool:
    return bool(embedding_tensors({role: shapes[name] for role, name in tensors.items()}))


def _family_of_adapter(shapes: Shapes, adapter: Adapter, metadata: Metadata) -> str:
    declared = _declared_family(metadata)
    if declared != UNKNOWN:
        return declared
    if any(SDXL_STARTS.search(module.start) for module in adapter.modules):
        return "sdxl"
    return FAMILY_OF_CONTEXT.get(
        _cross_attention_width(shapes, adapter) or _text_width(shapes, adapter), UNKNOWN
    )


def _cross_attention_width(shapes: Shapes, adapter: Adapter) -> int:
    """Width of the prompt's states in the UNet that is adapted; 0 if the file does not tell."""
    return _common_inputs(shapes, adapter, re.compile(r"attn2_to_[kv]$"))


def _text_width(shapes: Shapes, adapter: Adapter) -> int:
    return _common_inputs(shapes, adapter, re.compile(r"encoder_layers_\d+_(self_attn_._proj|mlp_fc1)$"))


def _common_inputs(shapes: Shapes, adapter: Adapter, modules: re.Pattern[str]) -> int:
    widths = {
        _inputs({role: shapes[name] for role, name in roles.items()})
        for module, roles in adapter.modules.items()
        if modules.search(module.name)
    }
    return next((width for width in sorted(widths) if width in FAMILY_OF_CONTEXT), 0)


def _inputs(parts: Mapping[str, Shape]) -> int:
    """Number of inputs of the module that an adapter changes; 0 if its tensors do not tell."""
    for role in ("down", "hada_w1_b", "diff", "a1", "a2", "dora_scale"):
        if len(shape := parts.get(role, ())) > 1:
            return max(shape[:2]) if role in ("a1", "a2") else shape[1]
    factors = [
        parts.get(f"lokr_w{number}") or parts.get(f"lokr_w{number}_b") or parts.get(f"lokr_w{number}_a")
        for number in (1, 2)
    ]
    return prod(shape[1] for shape in factors if shape and len(shape) > 1) if all(factors) else 0


def _embedding(shapes: Shapes, metadata: Metadata) -> Identified | None:
    names = embedding_tensors(shapes)
    if not names:
        return None
    vectors, width = _rows(shapes[names[0]]), shapes[names[-1]][-1]
    family = "sdxl" if len(names) > 1 else _family(width, metadata)
    return Identified("embedding", family, {"vectors": vectors, "width": width})


def embedding_tensors(shapes: Shapes) -> list[str]:
    """The tensors of a textual inversion, one for each text encoder; empty if the file is none.

    That is a file of one tensor, of diffusers (named after its token) or another tool, if its width is that of a text
    encoder; or a file with one of the names that A1111 and kohya write.
    """
    names = [name for name in shapes if name == "emb_params" or name.startswith("string_to_param")]
    if "clip_l" in shapes and "clip_g" in shapes:
        names = ["clip_l", "clip_g"]
    elif not names and len(shapes) == 1:
        names = [name for name, shape in shapes.items() if _is_token(name, shape)]
    elif len(names) > 1:
        return []
    fits = all(len(shapes[name]) in (1, 2) for name in names)
    return names if fits and len({_rows(shapes[name]) for name in names}) == 1 else []


TOKEN = re.compile(r"<[^<>]+>")  # diffusers uses the token as the tensor name


def _is_token(name: str, shape: Shape) -> bool:
    return bool(TOKEN.fullmatch(name)) or ("." not in name and shape[-1:] in TOKEN_WIDTHS)


def _rows(shape: Shape) -> int:
    return shape[0] if len(shape) == 2 else 1


TOKEN_WIDTHS = ((768,), (1024,), (1280,))


def _vae(shapes: Shapes, metadata: Metadata) -> Identified | None:
    """The VAEs of several families have the same shapes; then the family is known only if metadata declares it.

    A file that also has a diffusion network is a checkpoint of another family.
    """
    found = find_vae(shapes)
    if found is None:
        return None
    inner = tuple(f"{found.prefix}{part}." for part in ("encoder", "decoder"))
    if any(OTHER_NETWORK.search(name) for name in shapes if not name.startswith(inner)):
        return None
    detail = {
        "latent_channels": found.latent_channels,
        "layout": found.layout,
        "prefix": found.prefix,
        "families": found.families,
        "is_video": found.is_video,
    }
    family = found.families[0] if len(found.families) == 1 else _declared_family(metadata)
    return Identified("vae", family, detail)


OTHER_NETWORK = re.compile(
    r"diffusion_model\.|_blocks\.\d|transformer|text_model|cond_stage_model|conditioner|text_encoder"
)


def _preprocessor(shapes: Shapes, metadata: Metadata) -> Identified | None:
    found = next((name for name, keys in PREPROCESSORS.items() if all(key in shapes for key in keys)), None)
    return Identified("preprocessor", UNKNOWN, {"architecture": found}) if found else None


# Each is a TensorFlow Lite file, as a tensor of bytes.
HOLISTIC_NETWORKS = ("pose_detection", "pose_landmark", "hand_landmark", "face_detection", "face_landmark")
PREPROCESSORS: dict[str, tuple[str, ...]] = {
    "Depth Anything": ("neck.reassemble_stage.layers.0.projection.weight", "head.conv3.weight"),
    "HED": ("norm", "block1.convs.0.weight", "block5.projection.weight"),
    "MediaPipe Holistic": tuple(f"{name}.tflite" for name in HOLISTIC_NETWORKS),
    "informative drawings": ("model0.1.weight", "model3.0.weight", "model4.1.weight"),
}


def _face_restorer(shapes: Shapes, metadata: Metadata) -> Identified | None:
    """GFPGAN, by the same keys as spandrel."""
    found = names_without_prefix(shapes) >= GFPGAN
    return Identified("face_restorer", UNKNOWN, {"architecture": "GFPGAN"}) if found else None


GFPGAN = frozenset({"toRGB.0.weight", "stylegan_decoder.style_mlp.1.weight"})


def names_without_prefix(shapes: Shapes) -> set[str]:
    """Return the tensor names without the name of the state dict, which some files keep as a prefix."""
    return {re.sub(r"^(params_ema|params|model_state_dict)\.", "", name) for name in shapes}


def _upscaler(shapes: Shapes, metadata: Metadata) -> Identified | None:
    found = architecture_of(names_without_prefix(shapes))
    return Identified("upscaler", UNKNOWN, {"architecture": found}) if found else None


RULES: tuple[Callable[[Shapes, Metadata], Identified | None], ...] = (
    _controlnet,
    _checkpoint,
    _transformer,
    _adapter,
    _embedding,
    _vae,
    _text_encoder,
    _preprocessor,
    _face_restorer,
    _upscaler,
)


def name_shapes_below(shapes: Shapes, prefix: str) -> dict[str, Shape]:
    """Return the shapes whose names start with ``prefix``, with the prefix removed."""
    return {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}


def _context_width(shapes: Shapes) -> int | None:
    widths = (
        shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight") and len(shape) == 2
    )
    return next(widths, None)


def _family(width: int | None, metadata: Metadata) -> str:
    """Return the family by metadata, or by the width of cross-attention. Metadata takes precedence."""
    declared = _declared_family(metadata)
    return FAMILY_OF_CONTEXT.get(width or 0, UNKNOWN) if declared == UNKNOWN else declared


OTHER_FAMILIES = re.compile(
    r"flux|chroma|sd3|stable-diffusion-v?3|stable-cascade|pixart|auraflow|kolors|hunyuan|lumina|wan|qwen|z-?image|ltx"
)


def _other_family(metadata: Metadata) -> str:
    """A family declared by the metadata that is not supported; empty if there is none."""
    for key in DECLARATIONS:
        if found := OTHER_FAMILIES.search(metadata.get(key, "").lower()):
            return found[0]
    return ""


def _declared_family(metadata: Metadata) -> str:
    for key in DECLARATIONS:
        for pattern, family in FAMILY_OF_METADATA:
            if pattern.search(metadata.get(key, "").lower()):
                return family
    return UNKNOWN
