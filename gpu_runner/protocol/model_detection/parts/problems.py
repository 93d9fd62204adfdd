"""Why a transformer or a text encoder cannot be used, from its tensors. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gpu_runner.protocol.families.registry import DRAWN, FAMILIES
from gpu_runner.protocol.model_detection.storage.tensor_header import Shape
from gpu_runner.protocol.model_detection.transformers.controlnets.recognition import (
    find_transformer_controlnet,
)
from gpu_runner.protocol.model_detection.transformers.key_map import Conversion
from gpu_runner.protocol.model_detection.transformers.recognition import find_transformer

from .text_encoders import LABELS, NAMED, find_text_encoders
from .unsupported import MAX_NAME

Shapes = Mapping[str, Shape]


def transformer_problem(family: str, shapes: Shapes) -> str:
    """The reason, or empty. Raises ValueError, which is one too."""
    found = find_transformer(shapes)
    if found is None:
        raise ValueError("its tensors have unexpected shapes")
    conversion = found.conversion
    if reason := found.transformer.not_drawn(found.own_shapes):
        return reason
    if family not in DRAWN:
        return f"it is a model of the family {FAMILIES[family].label}, which is not drawn here yet"
    if reason := _difference(conversion):
        return reason
    found.config()
    return ""


def transformer_controlnet_problem(shapes: Shapes) -> str:
    """The reason, or empty. Raises ValueError, which is one too."""
    found = find_transformer_controlnet(shapes)
    if found is None:
        raise ValueError("its tensors have unexpected shapes")
    if reason := _difference(found.conversion):
        return reason
    found.config()
    return ""


def _difference(conversion: Conversion) -> str:
    if conversion.missing:
        return missing_tensors(conversion.missing, {})
    if conversion.unexpected:
        return f"it has tensors of another architecture ({conversion.unexpected[0][:MAX_NAME]})"
    return ""


def text_encoder_problem(kind: str, shapes: Shapes) -> str:
    """The reason, or empty."""
    if kind not in LABELS:
        return f"it is {NAMED[kind]}, which no supported family reads"
    if not any(part.kind == kind for family in DRAWN for part in FAMILIES[family].text):
        return f"it is {LABELS[kind]}, which no family reads that is drawn here yet"
    encoders = (encoder for encoder in find_text_encoders(shapes) if encoder.kind == kind)
    missing = next(filter(None, (encoder.missing(shapes) for encoder in encoders)), "")
    return f"missing tensor {missing[:MAX_NAME]}" if missing else ""


def encoder_names(family: str) -> str:
    """The text encoders of a family in brackets; empty for an unknown one."""
    if family not in FAMILIES:
        return ""
    return f" ({', '.join(LABELS[part.kind] for part in FAMILIES[family].text)})"


def missing_tensors(names: Iterable[str], shapes: Mapping[str, Any]) -> str:
    """What of ``names`` a file lacks; empty if nothing."""
    missing = [name for name in names if name not in shapes]
    if not missing:
        return ""
    return f"missing tensor {missing[0]}" + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
