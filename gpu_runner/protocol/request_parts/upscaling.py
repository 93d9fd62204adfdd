"""Enlargement by upscalers, alone or with denoised tiles."""

from __future__ import annotations

from pydantic import Field

from gpu_runner.protocol.catalogs import upscalers as upscaler_catalog

from .values import Fraction, Name, StrictModel


class Upscale(StrictModel):
    """Parameters of task=upscale: enlarge by ``scale``, or to cover ``width`` x ``height`` and, with ``crop``, crop to it."""

    scale: float = Field(default=2.0, gt=0, le=16, allow_inf_nan=False)
    width: int = Field(default=0, ge=0, le=16_384)  # 0: use ``scale``
    height: int = Field(default=0, ge=0, le=16_384)
    crop: bool = True
    upscaler: Name = upscaler_catalog.NONE  # "None" keeps the pixels
    upscaler_2: Name = upscaler_catalog.NONE
    upscaler_2_visibility: Fraction = 0.0  # opacity of upscaler_2's result over the first


class TiledUpscale(StrictModel):
    """SD upscale of the init image: enlarged, denoised in tiles of the request's ``width`` x ``height``, and joined."""

    width: int = Field(ge=48, le=8192)  # of the enlarged image
    height: int = Field(ge=48, le=8192)
    upscaler: Name = upscaler_catalog.NONE
    overlap: int = Field(default=64, ge=0, le=256)  # pixels that adjacent tiles share at least
    tiles_per_seed: int = Field(
        default=1, ge=1, le=256
    )  # after so many tiles, the next ones start at seed + 1
