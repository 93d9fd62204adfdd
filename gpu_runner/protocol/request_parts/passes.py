"""Parts of a generation request that shape its denoising passes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .values import MAX_LORA_RANK, MAX_LORAS, Factor, Fraction, InputImage, Name, Prompt, Side, StrictModel


class LoraUse(StrictModel):
    """A LoRA and its weights. 0 has no effect, 1 is the strength it was trained at."""

    name: Name
    unet: Factor = 1.0
    text_encoder: Factor = 1.0
    # Use the first ``rank`` ranks only; None: all.
    rank: int | None = Field(default=None, ge=1, le=MAX_LORA_RANK)


class Inpaint(StrictModel):
    """Inpainting of the init image. White mask pixels are repainted; with ``invert``, black ones."""

    mask: InputImage
    invert: bool = False
    blur_x: float = Field(default=4, ge=0, le=512, allow_inf_nan=False)  # standard deviation in pixels
    blur_y: float = Field(default=4, ge=0, le=512, allow_inf_nan=False)
    rounded: bool = True  # round the mask to 0 or 1 on the latent grid; else a soft mask
    # Initial content of the masked area.
    content: Literal["fill", "original", "noise", "nothing"] = "original"
    only_masked: bool = False  # crop around the mask, denoise at full size, and paste the result back
    padding: int = Field(default=0, ge=0, le=4096)  # pixels around the mask with only_masked
    overlay: bool = True  # paste the original pixels outside the mask over the output
    # Mask conditioning of inpainting checkpoints (A1111's inpainting_mask_weight).
    conditioning_weight: Fraction = 1.0


class Hires(StrictModel):
    """Hires fix: upscale the output of the first pass and denoise it again. Empty or None fields are those of the first pass."""

    width: Side
    height: Side
    scale: float | None = None  # factor the client gave, for the infotext and the curl export
    upscaler: Name = "Latent"
    num_inference_steps: int = Field(default=0, ge=0, le=500)  # 0: as in the first pass
    strength: Fraction = 0.7
    sampler: str = ""
    scheduler: str = ""
    eta: float | None = Field(default=None, ge=0, le=10, allow_inf_nan=False)
    checkpoint: Name = ""
    prompt: Prompt = ""
    negative_prompt: Prompt = ""
    loras: tuple[LoraUse, ...] | None = Field(default=None, max_length=MAX_LORAS)


class MagicMix(StrictModel):
    """Mixing of the prompt's content into the layout of the init image (Liew et al. 2022, MagicMix).

    While the noise is above that of strength ``kmin``, the model sees a mix of the image and of the equally noised init
    image. The request's ``strength`` is the paper's kmax.
    """

    kmin: Fraction = 0.3
    mix_factor: Fraction = 0.5  # share of the generated content; 0 sees the init image only


class Refiner(StrictModel):
    """A refiner checkpoint that replaces the base model after the fraction ``switch_at`` of the steps."""

    checkpoint: Name
    switch_at: Fraction = 0.8
