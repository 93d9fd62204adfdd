"""Preprocessor modules with a network: how to build it from a file, and how to compute the map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.catalogs.preprocessors import Module, ModuleSettings
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.findings import PosesFound

from . import depth_anything, face_contours, hed, lineart, openpose
from .arrays import Pixels
from .registry import sized

Build = Callable[[TensorFile], nn.Module]  # with its weights
Detect = Callable[[nn.Module, Pixels, ModuleSettings], Pixels]


@dataclass(frozen=True)
class Network:
    """Builder and inference function of a module."""

    build: Build
    detect: Detect


def _without_sliders(detect: Callable[[nn.Module, Pixels], Pixels]) -> Detect:
    return lambda network, pixels, _settings: detect(network, pixels)


NETWORKS: dict[str, Network] = {
    "depth_anything": Network(depth_anything.build, _without_sliders(depth_anything.detect)),
    "depth_anything_v2": Network(depth_anything.build_v2, _without_sliders(depth_anything.detect)),
    "hed": Network(hed.build, _without_sliders(hed.detect)),
    "hed_safe": Network(hed.build, _without_sliders(hed.detect_safe)),
    "scribble_hed": Network(hed.build, _without_sliders(hed.detect_scribble)),
    "lineart": Network(lineart.build, _without_sliders(lineart.detect)),
    "lineart_coarse": Network(lineart.build, _without_sliders(lineart.detect)),
    "mediapipe_face": Network(openpose.build, face_contours.detect),
    **{
        name: Network(openpose.build, _without_sliders(partial(openpose.detect, name)))
        for name in openpose.PARTS
    },
}


def architecture_of(module: str) -> str:
    """Name of what the module builds from its file: modules with the same name and file share one network."""
    build = NETWORKS[module].build
    return f"{build.__module__}.{build.__qualname__}"


def load(module: str, file: TensorFile, name: str) -> nn.Module:
    """Return the network of ``module`` in float32. Raises ModelUnavailable if the file ``name`` does not fit."""
    try:
        return NETWORKS[module].build(file).float().eval().requires_grad_(False)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ModelUnavailable(f"{name} is not a model of the preprocessor {module}") from error


@torch.inference_mode()
def detect(module: Module, network: nn.Module, pixels: Pixels, settings: ModuleSettings) -> Pixels:
    """Return the control map of an image."""
    return NETWORKS[module.name].detect(network, sized(module, pixels, settings), settings)


def find_poses(module: Module, network: nn.Module, pixels: Pixels, settings: ModuleSettings) -> PosesFound:
    """Return what a module with ``finds_poses`` draws."""
    return openpose.find(module.name, network, sized(module, pixels, settings))
