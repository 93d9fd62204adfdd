"""ControlNet units."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .values import Factor, Fraction, InputImage, Name, StrictModel

ControlType = Literal["", "canny", "tile", "depth", "blur", "pose", "gray", "low_quality"]


class ControlUnit(StrictModel):
    """One ControlNet unit. Without a model, only the module acts (reference_only) or only the control map is returned."""

    model: Name = ""
    module: Name = "none"
    image: InputImage | None = None  # None: the init image
    # Inpaint modules: area to repaint; other modules: a sketch that replaces the map.
    mask: InputImage | None = None
    region: InputImage | None = None  # effective region mask: the unit acts on white pixels
    weight: float = Field(default=1.0, ge=0, le=5, allow_inf_nan=False)
    guidance_start: Fraction = 0.0
    guidance_end: Fraction = 1.0
    # "prompt": prompt more important; "control": ControlNet more important
    control_mode: Literal["balanced", "prompt", "control"] = "balanced"
    # One per residual, middle block last.
    layer_weights: tuple[Factor, ...] = Field(default=(), max_length=64)
    resize_mode: Literal["stretch", "crop", "fill"] = "crop"
    processor_res: int | None = Field(default=None, ge=1, le=4096)  # None: the module's default; also below
    threshold_a: float | None = Field(default=None, allow_inf_nan=False)
    threshold_b: float | None = Field(default=None, allow_inf_nan=False)
    pixel_perfect: bool = False
    hr_option: Literal["both", "low", "high"] = "both"
    crop_with_mask: bool = True  # crop the unit's image like the init image (Inpaint.only_masked)
    return_map: bool = True
    # What the control image is, for ControlNets that tell several kinds apart; empty: as the module says.
    control_type: ControlType = ""
