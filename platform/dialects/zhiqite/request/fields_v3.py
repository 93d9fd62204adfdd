"""Bodies of v3, which the vendor documents as in development: camelCase, and the vendor's spelling."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from .fields_v2 import HiresSide, Noise, OutputFormat
from .json_body import Count, Fraction, Guidance, Id, Link, Name, Seed, Side, Steps, Wire

PromptV3 = Annotated[str, Field(max_length=2000)]


def _side_or_none(pixels: int) -> int:
    if NONE < pixels < MIN_NOISE_SIDE:
        raise ValueError(f"must be {NONE}, or at least {MIN_NOISE_SIDE}")
    return pixels


NONE, MIN_NOISE_SIDE = -1, 128
NoiseSide = Annotated[int, Field(ge=NONE, le=2048), AfterValidator(_side_or_none)]


class External(Wire):
    """``saasDrawingExternalImageParameterBO``."""

    baseModelCode: Name
    businessTaskId: Id
    sourceImageUrl: Link = ""
    vaeName: Name = ""
    targetImageFormat: OutputFormat = "jpg"


class GenerationV3(Wire):
    prompt: PromptV3
    negativePrompt: PromptV3 = ""
    iterationCount: Count = 1
    singleBatchImageCount: Count = 1
    steps: Steps = 20
    seed: Seed = -1
    subSeed: Seed = -1
    subSeedStrength: Fraction = 0.0
    initialNoiseHeight: NoiseSide = -1
    initialNoiseWeight: NoiseSide = -1  # sic: the width
    restoreFaces: bool = False
    tilling: bool = False  # sic
    width: Side = 512
    height: Side = 512
    promptGuidanceFactor: Guidance = 7.0
    samplerName: Name = "None"
    samplerIndex: Name = "Euler a"
    deNoisingStrength: Fraction | None = None
    styles: tuple[Name, ...] = Field(default=(), max_length=64)
    scriptName: Name = "None"
    callbackUrl: Link = ""
    saasDrawingExternalImageParameterBO: External


class Text2ImageV3(GenerationV3):
    enableHighDefinitionRepair: bool = False
    highDefinitionRepairScale: float = Field(default=2.0, ge=1, le=4, allow_inf_nan=False)
    highDefinitionRepairEnlarger: Name = "Latent"
    highDefinitionRepairPostSteps: int = Field(default=0, ge=0, le=500)
    firstPhaseWidth: HiresSide | Annotated[int, Field(ge=0, le=0)] = 0
    firstPhaseHeight: HiresSide | Annotated[int, Field(ge=0, le=0)] = 0


class Image2ImageV3(GenerationV3):
    resizeMode: int = Field(default=0, ge=0, le=3)
    imageResizeScale: float = Field(default=0.0, ge=0, le=3, allow_inf_nan=False)
    initialNoiseMultiplier: Noise = 1.0
