"""Numbers of a configuration that shapes do not show, such as attention heads and normalization groups.

They must fit the widths of the layers, which torch checks when a network is built: too late, because a job waits then.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

ACTIVATIONS = ("gelu", "quick_gelu")  # of CLIP


def is_valid(name: str, value: Any) -> bool:
    """Whether an entry of a configuration can have this value, whatever the network."""
    return VALID.get(name, _is_count)(value)


def network_problem(config: dict[str, Any]) -> str:
    """Why groups or heads do not fit a UNet, a ControlNet or a VAE; empty if they do."""
    widths: list[int] = config["block_out_channels"]
    groups: int = config["norm_num_groups"]
    if wrong := next((width for width in widths if width % groups), 0):
        return f"its {wrong} channels cannot be divided into {groups} normalization groups"
    if "attention_head_dim" not in config:
        return ""
    heads = config["attention_head_dim"]
    per_level = heads if isinstance(heads, list) else [heads] * len(widths)
    if len(per_level) != len(widths):
        return f"it has {len(widths)} levels, and attention heads for {len(per_level)}"
    last = len(widths) - 1  # whose width is that of the middle block, which always has attention
    for level, (width, count, block) in enumerate(
        zip(widths, per_level, config["down_block_types"], strict=True)
    ):
        if width % count and (level == last or block.startswith("CrossAttn")):
            return _heads(width, count)
    return ""


def text_encoder_problem(config: dict[str, Any]) -> str:
    """Why the heads do not fit a text encoder; empty if they do."""
    width, heads = config["hidden_size"], config["num_attention_heads"]
    return _heads(width, heads) if width % heads else ""


def _heads(width: int, heads: int) -> str:
    return f"its {width} channels cannot be divided into {heads} attention heads"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_count, value))


def _are_places(value: Any) -> bool:
    """Numbers of layers, from 0."""
    return isinstance(value, list) and all(
        _is_count(place) or (place == 0 and place is not False) for place in value
    )


def _is_factor(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


VALID: dict[str, Callable[[Any], bool]] = {
    "attention_head_dim": lambda value: _is_count(value) or _are_counts(value),
    "axes_dims": _are_counts,
    "axes_dims_rope": _are_counts,
    "axes_lens": _are_counts,
    "control_layers_places": _are_places,
    "control_refiner_layers_places": _are_places,
    "global_pool_conditions": lambda value: isinstance(value, bool),
    "hidden_act": lambda value: value in ACTIVATIONS,
    "scaling_factor": _is_factor,
}
