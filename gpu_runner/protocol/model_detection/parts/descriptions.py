"""Details of transformers and text encoders, for the registry. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpu_runner.protocol.model_detection.storage.tensor_header import Shape
from gpu_runner.protocol.model_detection.transformers.recognition import find_transformer

from .text_encoders import find_text_encoders
from .vaes import find_vae

Shapes = Mapping[str, Shape]


@dataclass(frozen=True)
class TransformerDescription:
    """``problem``: why the tensors cannot be read; empty if they can."""

    family: str
    detail: Mapping[str, Any]
    problem: str = ""


def describe_transformer(shapes: Shapes) -> TransformerDescription | None:
    """What a checkpoint with a transformer contains; None for other files."""
    found = find_transformer(shapes)
    if found is None:
        return None
    family = found.transformer.family
    vae = find_vae(shapes)
    detail: dict[str, Any] = {
        "inpainting": False,
        "instruct": False,
        "has_vae": vae is not None and family in vae.families,
        "layout": found.layout,
        "prefix": found.prefix,
        "text_encoders": tuple(encoder.kind for encoder in find_text_encoders(shapes)),
    }
    try:
        detail["context_width"] = found.context_width()
        detail["width"] = found.width()
        detail |= found.transformer.detail(found.conversion.shapes)
    except (ArithmeticError, IndexError, ValueError) as error:
        reason = str(error) if isinstance(error, ValueError) else "its tensors have unexpected shapes"
        return TransformerDescription(family, detail, reason)
    return TransformerDescription(family, detail)


def describe_text_encoder(shapes: Shapes) -> dict[str, Any]:
    """Details of a file of text encoders, of which the widest counts; empty for other files."""
    found = sorted(find_text_encoders(shapes), key=lambda encoder: encoder.width)
    if not found or any(OTHER_PARTS.search(name) for name in shapes):
        return {}
    encoder = found[-1]
    return {"encoder": encoder.kind, "width": encoder.width, "prefix": encoder.prefix}


# Networks beside which a text encoder is a part of a checkpoint.
OTHER_PARTS = re.compile(
    r"diffusion_model\.|first_stage_model\.|(^|\.)(down_blocks|single_blocks|joint_blocks)\.\d"
)
