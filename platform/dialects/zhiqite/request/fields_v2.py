"""Bodies of v2 and of inpaint v1: A1111's field names, images by URL, and the rest in ``alwayson_scripts``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from gpu_runner.protocol import MAX_SEED

from .json_body import Count, Fraction, Guidance, HiresSide, Id, Link, Name, Prompt, Seed, Side, Steps, Wire

Number = Annotated[float, Field(allow_inf_nan=False)]
Noise = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]
Blur = Annotated[float, Field(ge=0, le=512, allow_inf_nan=False)]
Scale = Annotated[float, Field(ge=1, le=8, allow_inf_nan=False)]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _choice(choices: dict[str, str]) -> Callable[[Any], Any]:
    """Validator of a choice: its name in any case, or its index."""
    by_index = list(dict.fromkeys(choices.values()))

    def read(value: Any) -> Any:
        text = str(value).strip().lower()
        if text.isdecimal() and len(text) == 1 and int(text) < len(by_index):
            return by_index[int(text)]
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, or its index")
        return choices[text]

    return read


UNIT_RESIZE_MODES = {"just resize": "stretch", "crop and resize": "crop", "resize and fill": "fill"}
CONTROL_MODES = {
    "balanced": "balanced",
    "my prompt is more important": "prompt",
    "controlnet is more important": "control",
}
UnitResize = Annotated[Literal["stretch", "crop", "fill"], BeforeValidator(_choice(UNIT_RESIZE_MODES))]
ControlMode = Annotated[Literal["balanced", "prompt", "control"], BeforeValidator(_choice(CONTROL_MODES))]
OutputFormat = Annotated[Literal["jpg", "jpeg", "png"], BeforeValidator(_lower)]


class Unit(Wire):
    """A ControlNet unit."""

    image_link: Link = ""
    enabled: bool = True
    module: Name = "none"
    model: Name = ""
    weight: float = Field(default=1.0, ge=0, le=2, allow_inf_nan=False)
    resize_mode: UnitResize = "crop"
    low_vram: bool = False  # no effect: the runner manages its memory
    processor_res: int = Field(default=-1, ge=-1, le=4096)
    threshold_a: Number = -1.0
    threshold_b: Number = -1.0
    guidance_start: Fraction = 0.0
    guidance_end: Fraction = 1.0
    pixel_perfect: bool = False
    control_mode: ControlMode = "balanced"

    @model_validator(mode="after")
    def ends_after_it_starts(self) -> Unit:
        if self.guidance_start > self.guidance_end:
            raise ValueError("guidance_start must not be greater than guidance_end")
        return self


class ControlNetScript(Wire):
    args: tuple[Unit, ...] = Field(default=(), max_length=10)


class Overrides(Wire):
    """Settings of A1111 that a request may override."""

    model_config = ConfigDict(extra="forbid")

    CLIP_stop_at_last_layers: int = Field(default=1, ge=1, le=12)
    eta_noise_seed_delta: int = Field(default=0, ge=0, le=MAX_SEED)
    eta_ancestral: Noise | None = None
    eta_ddim: Noise | None = None
    img2img_color_correction: bool = False
    img2img_fix_steps: bool = False
    initial_noise_multiplier: Noise | None = None
    sd_vae: Name = ""
    tiling: bool = False


class Scripts(Wire):
    """``alwayson_scripts``."""

    sd_model_checkpoint: Name
    id_task: Id
    sd_vae: Name = ""
    output_image_format: OutputFormat = "jpg"
    image_link: Link = ""
    mask_link: Link = ""
    override_settings: Overrides = Overrides()
    controlnet: ControlNetScript = ControlNetScript()
    ADetailer: Any = None


class GenerationV2(Wire):
    """Body of text2image, image2image, controlnet and inpaint."""

    prompt: Prompt
    negative_prompt: Prompt = ""
    n_iter: Count = 1
    batch_size: Count = 1
    steps: Steps = 20
    seed: Seed = -1
    width: Side = 512
    height: Side = 512
    cfg_scale: Guidance = 7.0
    sampler_index: Name = "Euler a"
    restore_faces: bool = False
    enable_hr: bool = False
    hr_scale: Scale = 2.0
    hr_upscaler: Name = "Latent"
    hr_second_pass_steps: int = Field(default=0, ge=0, le=500)
    hr_resize_x: HiresSide | None = None
    hr_resize_y: HiresSide | None = None
    denoising_strength: Fraction | None = None
    resize_mode: int = Field(default=0, ge=0, le=3)
    image_link: Link = ""
    mask_link: Link = ""
    mask_blur: Blur | None = None
    mask_blur_x: Blur = 4.0
    mask_blur_y: Blur = 4.0
    inpainting_fill: int | None = Field(default=None, ge=0, le=3)
    inpaint_full_res: bool = True
    inpaint_full_res_padding: int | None = Field(default=None, ge=0, le=4096)
    inpainting_mask_invert: bool = False
    initial_noise_multiplier: Noise | None = None
    image_cfg_scale: Number | None = None  # used by InstructPix2Pix checkpoints only
    callbackUrl: Link = ""
    alwayson_scripts: Scripts

    @property
    def init_image_url(self) -> str:
        return self.alwayson_scripts.image_link or self.image_link

    @property
    def mask_url(self) -> str:
        return self.alwayson_scripts.mask_link or self.mask_link

    def link_name(self, field: str) -> str:
        """The place at which the link was sent."""
        return f"alwayson_scripts.{field}" if getattr(self.alwayson_scripts, field) else field
