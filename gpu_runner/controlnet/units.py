"""A request's control units, ready to act."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gpu_runner.controlnet.preprocessors.arrays import Pixels, Plane
from gpu_runner.imaging import images
from gpu_runner.networks.loaded import LoadedControlNet
from gpu_runner.protocol.generation_request import ControlUnit
from gpu_runner.protocol.preprocessor_catalog import Module

HIDDEN = -1.0  # what inpainting ControlNets are shown where they are to draw
MASKED = 127


@dataclass(frozen=True, eq=False)
class Unit:
    """One unit for one size of picture."""

    asked: ControlUnit
    module: Module
    model: LoadedControlNet | None
    map: Pixels
    hidden: Plane | None = None  # 255 where an inpainting ControlNet draws
    region: Plane | None = None
    acts: bool = True  # in the pass that it is for; else it only shows its map

    @cached_property
    def hint(self) -> Tensor:
        """(3, height, width), from 0 to 1; hidden pixels are below."""
        pixels = torch.from_numpy(self.map.astype(np.float32) / 255).permute(2, 0, 1)
        if self.hidden is not None:
            pixels[:, torch.from_numpy(self.hidden > MASKED)] = HIDDEN
        return pixels

    @cached_property
    def pixels(self) -> Tensor:
        """As a VAE takes it."""
        return images.to_tensor(Image.fromarray(self.map))

    @property
    def shown(self) -> Image.Image:
        """The map for people's eyes."""
        visible = self.map if self.hidden is None else self.map * (self.hidden <= MASKED)[:, :, None]
        return Image.fromarray(np.ascontiguousarray(visible.astype(np.uint8)))


Units = tuple[tuple[Unit, ...], ...]  # for all pictures, or for each


@dataclass(frozen=True)
class Controls:
    """The units of each pass. Pictures with init images of their own have units of their own."""

    first: Units = ((),)
    second: Units = ((),)  # of the high-resolution fix

    def maps(self) -> list[Image.Image]:
        """In the order in which clients expect them: a unit's larger map before its smaller one."""
        found: list[Image.Image] = []
        for place, unit in enumerate(self.first[0]):
            if unit.asked.return_map:
                found += [larger.shown for larger in self.second[0][place : place + 1]] + [unit.shown]
        return found
