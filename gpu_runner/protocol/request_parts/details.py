"""Faces and other regions of finished images that are drawn again."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .control import ControlUnit
from .passes import LoraUse
from .values import MAX_LORAS, Fraction, Name, Prompt, Side, StrictModel

MAX_DETAIL_PASSES = 15
MAX_REGIONS = 64  # of a detail pass


class FaceRestoration(StrictModel):
    """Restoration of the faces in every output."""

    model: Name = ""  # face restorer; empty: the default one
    detector: Name = ""  # face detector; empty: the default one
    visibility: Fraction = 1.0  # opacity of the restored face over the original


class RegionPrompt(StrictModel):
    """Prompts of one region of a detail pass. Empty or None fields are those of the request."""

    prompt: Prompt = ""
    negative_prompt: Prompt = ""
    loras: tuple[LoraUse, ...] | None = Field(default=None, max_length=MAX_LORAS)
    skip: bool = False  # leave this region as it is


class DetailPass(StrictModel):
    """Detail pass over every finished image: detect regions, and inpaint each of them (ADetailer).

    Fields of the inpainting that are 0, empty or None are those of the request.
    """

    # What is detected. Without a name, the default file of the kind is used.
    detector_kind: Literal["face_detector", "detector"] = "face_detector"
    detector: Name = ""
    label: Name = ""  # name of the detector that the client gave, for the infotext
    confidence: Fraction = 0.3  # minimum score, on the scale of the detector
    classes: tuple[Name, ...] = Field(default=(), max_length=64)  # names in the detector's file; empty: all
    # Mask of a face: its box, the ellipse in the box, or an ellipse per eye.
    shape: Literal["box", "ellipse", "eyes"] = "box"

    # Which regions are inpainted, in this order. The cost is reserved for ``max_regions`` regions of every image.
    min_share: Fraction = 0.0  # of the image's area, by the box
    max_share: Fraction = 1.0
    order: Literal["confidence", "area"] = "confidence"  # descending
    max_regions: int = Field(default=8, ge=1, le=MAX_REGIONS)

    # Masks, in pixels.
    offset_x: int = Field(default=0, ge=-4096, le=4096)  # to the right
    offset_y: int = Field(default=0, ge=-4096, le=4096)  # upwards
    dilation: int = Field(default=4, ge=-1024, le=1024)  # side of the square kernel; negative values erode
    merge: Literal["none", "merge", "invert"] = "none"  # one mask of all regions, or of everything else
    mask_blur: float = Field(default=4, ge=0, le=512, allow_inf_nan=False)

    # Inpainting.
    regions: tuple[RegionPrompt, ...] = Field(
        default=(), max_length=MAX_REGIONS
    )  # the last is for all others
    strength: Fraction = 0.4
    only_masked: bool = True
    padding: int = Field(default=32, ge=0, le=4096)
    overlay: bool = True
    width: Side | None = None
    height: Side | None = None
    num_inference_steps: int = Field(default=0, ge=0, le=500)
    guidance_scale: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    sampler: str = ""
    scheduler: str = ""
    eta: float | None = Field(default=None, ge=0, le=10, allow_inf_nan=False)
    noise_multiplier: float = Field(default=1.0, ge=0, le=10, allow_inf_nan=False)
    checkpoint: Name = ""
    vae: Name | None = None  # empty: the checkpoint's VAE
    clip_skip: int = Field(default=0, ge=0, le=12)
    face_restoration: FaceRestoration | None = None
    controls: tuple[ControlUnit, ...] = Field(default=(), max_length=10)

    def region(self, number: int) -> RegionPrompt:
        """Prompts of the region with this 0-based number."""
        return self.regions[min(number, len(self.regions) - 1)] if self.regions else RegionPrompt()

    @property
    def most_inpainted(self) -> int:
        """Maximum number of regions that are inpainted in one image."""
        count = self.max_regions if self.merge == "none" else 1
        return sum(not self.region(number).skip for number in range(count))
