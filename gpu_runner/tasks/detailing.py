"""Detail passes of one request, ready to run: detector, checkpoints and control units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from gpu_runner.controlnet.units import UnitsPerImage
from gpu_runner.imaging.regions import Detect, RegionMasks, region_masks
from gpu_runner.networks.loaded import LoadedCheckpoint, LoadedUpscaler
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.request_parts.details import DetailPass

from .face_restoration import Restoration
from .init_image import Canvas, Source

# Control units of a region, of which the canvas is the init image. Long-running.
BuildUnits = Callable[[GenerationRequest, LoadedCheckpoint, Source, Canvas], UnitsPerImage]


@dataclass(frozen=True, eq=False)
class Detailing:
    """One detail pass."""

    part: DetailPass
    detect: Detect
    models: tuple[LoadedCheckpoint, ...]  # one per entry of ``part.regions``, at least one
    upscaler: LoadedUpscaler | str  # for regions that are denoised at a larger size
    steps_per_region: int
    faces: Restoration | None = None
    build_units: BuildUnits | None = None

    @property
    def steps(self) -> int:
        """Maximum number of UNet calls per image."""
        return self.steps_per_region * self.part.most_inpainted

    def model(self, number: int) -> LoadedCheckpoint:
        return self.models[min(number, len(self.models) - 1)]

    def masks(self, request: GenerationRequest, image: Image.Image, canvas: Canvas | None) -> RegionMasks:
        """Masks of the regions of an image. Of an inpainting request, only regions that its mask touches."""
        allowed = None
        if request.inpaint is not None:
            if canvas is None or canvas.mask is None:  # the mask is empty
                return RegionMasks([])
            allowed = None if request.inpaint.only_masked else canvas.mask
        return region_masks(self.detect(image), self.part, image.size, allowed)
