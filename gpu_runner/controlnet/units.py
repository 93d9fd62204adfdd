"""ControlNet units of a request with their loaded models and control maps."""

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
from gpu_runner.protocol.catalogs.preprocessors import Module
from gpu_runner.protocol.request_parts.control import ControlUnit

HIDDEN = -1.0  # value of masked pixels in the input of inpainting ControlNets
MASKED = 127  # mask levels above this are masked


@dataclass(frozen=True, eq=False)
class PreparedUnit:
    """One unit, prepared for one image size."""

    request: ControlUnit
    module: Module
    model: LoadedControlNet | None
    map: Pixels
    hidden: Plane | None = None  # inpainting mask, 255 where pixels are hidden from the ControlNet
    region: Plane | None = None
    acts: bool = True  # False: inactive in this pass (hr_option); only the map is returned
    background: PreparedUnit | None = (
        None  # the init image of an inpainting request, with its mask as ``hidden``
    )

    @cached_property
    def hint(self) -> Tensor:
        """Input of the ControlNet: (3, height, width), from 0 to 1; hidden pixels are -1."""
        pixels = torch.from_numpy(self.map.astype(np.float32) / 255).permute(2, 0, 1)
        if self.hidden is not None:
            pixels[:, torch.from_numpy(self.hidden > MASKED)] = HIDDEN
        return pixels

    @cached_property
    def pixels(self) -> Tensor:
        """The map as input of a VAE: (3, height, width), from -1 to 1."""
        return images.to_tensor(Image.fromarray(self.map))

    @cached_property
    def edge_pixels(self) -> Tensor:
        """The map as ControlNets of Stability AI for edges take it: white is 128 instead of 1."""
        return (self.pixels + 1) / 2 * 127.5 + 0.5

    def masked_pixels(self, value: float) -> Tensor:
        """``pixels`` with a value where they are hidden."""
        assert self.hidden is not None
        pixels = self.pixels.clone()
        pixels[:, torch.from_numpy(self.hidden > MASKED)] = value
        return pixels

    @property
    def map_image(self) -> Image.Image:
        """The map as an image, with hidden pixels black."""
        visible = self.map if self.hidden is None else self.map * (self.hidden <= MASKED)[:, :, None]
        return Image.fromarray(np.ascontiguousarray(visible.astype(np.uint8)))


UnitsPerImage = tuple[tuple[PreparedUnit, ...], ...]  # one entry for all images, or one per image


@dataclass(frozen=True)
class PreparedControls:
    """Units of the first and of the hires pass."""

    first: UnitsPerImage = ((),)
    second: UnitsPerImage = ((),)  # hires pass

    def maps(self) -> list[Image.Image]:
        """Return the maps to send, in A1111's order: per unit, the map of the hires pass before that of the first pass."""
        maps: list[Image.Image] = []
        for index, unit in enumerate(self.first[0]):
            if unit.request.return_map:
                maps += [hires_unit.map_image for hires_unit in self.second[0][index : index + 1]] + [
                    unit.map_image
                ]
        return maps
