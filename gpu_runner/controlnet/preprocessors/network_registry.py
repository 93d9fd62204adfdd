"""Modules that need a network: which class loads a module's file, and how its map is drawn. The runner's side only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.preprocessor_catalog import Module, Settings

from . import depth_anything, hed, lineart
from .arrays import Pixels
from .registry import sized

Build = Callable[[TensorFile], nn.Module]  # with its weights
Draw = Callable[[nn.Module, Pixels], Pixels]


@dataclass(frozen=True)
class Network:
    build: Build
    draw: Draw


NETWORKS: dict[str, Network] = {
    "depth_anything": Network(depth_anything.build, depth_anything.draw),
    "depth_anything_v2": Network(depth_anything.build_second, depth_anything.draw),
    "hed": Network(hed.build, hed.draw),
    "hed_safe": Network(hed.build, hed.draw_safe),
    "scribble_hed": Network(hed.build, hed.draw_scribble),
    "lineart": Network(lineart.build, lineart.draw),
    "lineart_coarse": Network(lineart.build, lineart.draw),
}


def load(module: str, file: TensorFile, name: str) -> nn.Module:
    try:
        return NETWORKS[module].build(file).float().eval().requires_grad_(False)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ModelUnavailable(f"{name} does not fit the preprocessor {module}") from error


@torch.inference_mode()
def detect(module: Module, network: nn.Module, pixels: Pixels, settings: Settings) -> Pixels:
    return NETWORKS[module.name].draw(network, sized(module, pixels, settings))
