"""Scaled float8 weights: which tensor is multiplied by which scale, and which other quantizations a file has.

Two spellings are in use: ``NAME.scale_weight`` beside ``NAME.weight`` with the marker ``scaled_fp8`` for the file, and
``NAME.weight_scale`` with ``NAME.comfy_quant`` for the layer, or the metadata key ``_quantization_metadata`` for all
layers. The scales of activations only serve arithmetic in float8, which is not used here. No torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from .tensor_header import Shape

SCALES = (".scale_weight", ".weight_scale")
IGNORED = re.compile(r"(^|\.)scaled_fp8$|\.(scale_input|input_scale|comfy_quant)$")
LAYER_FORMAT = ".comfy_quant"  # ending of a tensor of bytes: JSON with the format of a layer
FILE_FORMATS = "_quantization_metadata"  # metadata key: JSON with the formats of all layers
FLOAT8_FORMATS = frozenset({"float8_e4m3fn", "float8_e5m2"})
MAX_FORMAT_BYTES = 4096
FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
MAX_NAME = 80  # of a tensor or a format, in a reason

# Tensors that only files of one quantization have.
OTHER_FORMATS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\.quant_state\.bitsandbytes__nf4$"), "nf4 (bitsandbytes)"),
    (re.compile(r"\.quant_state\.bitsandbytes__fp4$"), "fp4 (bitsandbytes)"),
    (re.compile(r"\.(absmax|quant_map|quant_state)$"), "4 or 8 bits (bitsandbytes)"),
    (re.compile(r"\.SCB$"), "int8 (bitsandbytes)"),
    (re.compile(r"\.weight_scale_2$"), "nvfp4"),
    (re.compile(r"\.(wscales|wtscale|wcscales|smooth_factor|smooth_factor_orig)$"), "SVDQuant"),
    (re.compile(r"\.(qweight|qzeros)$"), "GPTQ or AWQ"),
    (re.compile(r"\.weight_packed$"), "packed integers (compressed-tensors)"),
    (re.compile(r"\.weight_scale_inv$"), "float8 with scales by block"),
    (re.compile(r"\.weight\._(data|scale)$"), "the format of quanto"),
)
INTEGERS = {"I8": "int8", "U8": "packed 4 or 8 bits", "F4": "fp4", "F6_E2M3": "fp6", "F6_E3M2": "fp6"}


@dataclass(frozen=True)
class ScaledWeights:
    """``hidden``: tensors that decoding uses, and which are no weights. ``problem``: why decoding is impossible."""

    scales: Mapping[str, str]
    hidden: frozenset[str] = frozenset()
    problem: str = ""


def scaled_weights(
    shapes: Mapping[str, Shape], dtypes: Mapping[str, str], formats: Mapping[str, str]
) -> ScaledWeights:
    """Find the scales of a file. ``dtypes`` are safetensors' names, ``formats`` those of ``layer_formats``."""
    scales = {
        f"{layer}.weight": f"{layer}{ending}"
        for ending in SCALES
        for layer in (name.removesuffix(ending) for name in shapes if name.endswith(ending))
        if f"{layer}.weight" in shapes
    }
    if problem := _problem(shapes, dtypes, formats, scales):
        return ScaledWeights({}, problem=problem)
    return ScaledWeights(scales, frozenset(scales.values()) | set(filter(IGNORED.search, shapes)))


def _problem(
    shapes: Mapping[str, Shape],
    dtypes: Mapping[str, str],
    formats: Mapping[str, str],
    scales: Mapping[str, str],
) -> str:
    for layer, form in formats.items():
        if form not in FLOAT8_FORMATS:
            return _not_supported(form, layer)
    for pattern, form in OTHER_FORMATS:
        if name := next(filter(pattern.search, shapes), ""):
            return _not_supported(form, name)
    for name, dtype in dtypes.items():
        if dtype in INTEGERS and name.endswith(".weight") and len(shapes[name]) > 1:
            return _not_supported(INTEGERS[dtype], name)
    for weight, scale in scales.items():
        if dtypes[scale] not in FLOATS:
            return _not_supported("mxfp8", scale)
        if prod(shapes[scale]) not in (1, *shapes[weight][:1]):
            return _not_supported("float8 with scales by block", scale)
    return ""


def _not_supported(form: str, name: str) -> str:
    return f"its weights are quantized to {form[:MAX_NAME]} ({name[:MAX_NAME]}), which is not supported"


def layer_formats(metadata: Mapping[str, str], contents: Mapping[str, bytes]) -> dict[str, str]:
    """The declared formats by layer. ``contents``: the ``comfy_quant`` tensors. Raises ValueError if malformed."""
    return dict(_layer_formats(metadata, contents))


def _layer_formats(metadata: Mapping[str, str], contents: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    layers = _json(metadata.get(FILE_FORMATS, "{}"), FILE_FORMATS).get("layers", {})
    if not isinstance(layers, dict):
        raise ValueError(f"invalid metadata key {FILE_FORMATS}")
    for layer, description in layers.items():
        yield layer, _format(description, layer)
    for name, content in contents.items():
        yield name.removesuffix(LAYER_FORMAT), _format(_json(content, name), name)


def _format(description: Any, name: str) -> str:
    form = description.get("format") if isinstance(description, dict) else None
    if not isinstance(form, str):
        raise ValueError(f"{name[:MAX_NAME]} does not tell the format of a quantized layer")
    return form


def _json(text: str | bytes, name: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (RecursionError, ValueError) as error:
        raise ValueError(f"{name[:MAX_NAME]} is not JSON") from error
    if not isinstance(content, dict):
        raise ValueError(f"{name[:MAX_NAME]} is not a JSON object")
    return content
