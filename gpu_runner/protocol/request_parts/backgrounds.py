"""Background removal and replacement."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from .values import InputImage, Name, StrictModel


class ChangeBackground(StrictModel):
    """Parameters of task=change_background: keep the product of the init image and repaint what is behind it.

    ``width`` and ``height`` of the request are the size of the denoised image.
    """

    mask: InputImage | None = None  # white is the product, unless ``mask_invert``
    mask_invert: bool = False
    # Without a mask. "letters": everything but letters is the product, so that lettered marks are repainted.
    cut_out_by: Literal["matting", "transparency", "letters"] = "matting"
    matting_model: Name = ""  # empty: the default one
    text_detector: Name = ""  # of "letters"; empty: the default one
    mask_expansion: int = Field(default=-2, ge=-256, le=256)  # pixels; negative values erode the product
    feather: int = Field(default=2, ge=0, le=64)  # pixels on each side of the edge that are blended
    # Initial content of the background. ``fill`` spreads the colors of what is kept, as for removing an object.
    content: Literal["neutral", "fill", "original", "noise", "nothing"] = "neutral"
    output_width: int = Field(default=0, ge=0, le=4096)  # size of the output; 0: the denoised size
    output_height: int = Field(default=0, ge=0, le=4096)


class AlphaMatting(StrictModel):
    """Refinement of the mask's edge: thresholds of certain foreground and background (levels of 255), and the erosion of both."""

    foreground_threshold: int = Field(default=240, ge=0, le=255)
    background_threshold: int = Field(default=10, ge=0, le=255)
    erode_size: int = Field(default=10, ge=0, le=255)  # pixels

    @model_validator(mode="after")
    def thresholds_are_in_order(self) -> AlphaMatting:
        if self.background_threshold > self.foreground_threshold:
            raise ValueError(
                "background_threshold must be at most foreground_threshold"
                f" (got {self.background_threshold} and {self.foreground_threshold})"
            )
        return self


class CutOut(StrictModel):
    """Removal of the background: of the init image with task=cut_out, else of every generated image.

    Returns RGBA; with task=cut_out also the mask, or the mask alone.
    """

    matting_model: Name = ""  # empty: the default one
    mask_only: bool = False  # the mask instead of the image
    with_mask: bool = False  # the masks as further outputs, after the images
    invert: bool = False  # keep the background, and remove the subject
    post_process_mask: bool = False  # remove specks, smooth the edge, and round the mask to 0 or 255
    alpha_matting: AlphaMatting | None = None  # soft edges, as for hair

    @model_validator(mode="after")
    def returns_an_image_beside_its_mask(self) -> CutOut:
        if self.mask_only and self.with_mask:
            raise ValueError("mask_only and with_mask must not both be true")
        return self
