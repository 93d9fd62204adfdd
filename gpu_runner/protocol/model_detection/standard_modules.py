"""Module names of the standard networks of each family, to find the modules of a LoRA that none of them has. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from .adapter_layouts import TEXT, TEXT_2, UNET, Module
from .ldm_modules import unet_pairs

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
UP_CROSS, UP_PLAIN = "CrossAttnUpBlock2D", "UpBlock2D"
_FOUR_LEVELS: dict[str, Any] = {
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "down_block_types": (CROSS, CROSS, CROSS, PLAIN),
    "up_block_types": (UP_PLAIN, UP_CROSS, UP_CROSS, UP_CROSS),
}
_THREE_LEVELS: dict[str, Any] = {
    "block_out_channels": (320, 640, 1280),
    "layers_per_block": 2,
    "down_block_types": (PLAIN, CROSS, CROSS),
    "up_block_types": (UP_CROSS, UP_CROSS, UP_PLAIN),
    "transformer_layers_per_block": (1, 2, 10),
    "addition_embed_type": "text_time",
}
# By the width of cross-attention, which tells the standard networks from others of their families.
UNETS = {768: _FOUR_LEVELS, 1024: _FOUR_LEVELS, 2048: _THREE_LEVELS}
TEXT_LAYERS = {768: {TEXT: 12}, 1024: {TEXT: 24}, 2048: {TEXT: 12, TEXT_2: 32}}


def has_module(context_width: int, module: Module) -> bool:
    """Whether a standard network of this width of cross-attention has the module; True for other widths."""
    if context_width not in UNETS:
        return True
    if module.part == UNET:
        return module.name in _unet_modules(context_width)
    layers = TEXT_LAYERS[context_width].get(module.part, 0)
    before, found, rest = module.name.partition("encoder_layers_")
    return int(rest.partition("_")[0]) < layers if found and not before else layers > 0


@cache
def _unet_modules(context_width: int) -> frozenset[str]:
    return frozenset(_names(UNETS[context_width]))


def _names(config: dict[str, Any]) -> Iterator[str]:
    for pair in unet_pairs(config):
        for name in pair:
            flat = name.replace(".", "_")
            yield flat
            yield flat.removesuffix("_0")
