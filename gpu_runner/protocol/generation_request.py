"""The canonical request: what every dialect is translated to, what a job keeps, and what a runner draws.

Names are diffusers' where it has one. Sizes are pixels. No torch, no Django.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from . import upscaler_catalog
from .preprocessor_catalog import weights_of

MAX_SEED = 2**32 - 1
MOST_LORAS = 32  # of one pass
MOST_RANKS = 4096  # of a LoRA; no file has as many
LOWEST_SIGMA_MAX = 0.5  # above the lowest sigma that any sampler starts its schedule from

Factor = Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=64, le=4096, multiple_of=8)]
Name = Annotated[str, Field(max_length=255)]
Prompt = Annotated[str, Field(max_length=20_000)]
Steps = Annotated[int, Field(ge=1, le=500)]
Emphasis = Literal["Original", "No norm", "Ignore", "None"]
ResizeMode = Literal["stretch", "crop", "fill", "latent"]
NsfwPolicy = Literal["off", "flag", "blur", "blank", "refuse"]  # from the mildest to the strictest
NSFW_POLICIES: tuple[NsfwPolicy, ...] = get_args(NsfwPolicy)


class StrictModel(BaseModel):
    """Frozen and strict about unknown fields: a word that one side does not know must not be dropped in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Picture(StrictModel):
    """An input picture, named by the SHA-256 of its bytes. The bytes travel beside the request, never in it."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class ModelName(NamedTuple):
    """A model file that a request names: the registry's kind and name."""

    kind: str
    name: str

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.name}"


class LoraUse(StrictModel):
    """A LoRA and how strongly it acts; 0 not at all, 1 as it was trained."""

    name: Name
    unet: Factor = 1.0
    text_encoder: Factor = 1.0
    rank: int | None = Field(default=None, ge=1, le=MOST_RANKS)  # so many ranks of it act; None: all


class Inpaint(StrictModel):
    """Which part of the init image is drawn anew: white in the mask, unless ``invert``."""

    mask: Picture
    invert: bool = False
    blur_x: float = Field(default=4, ge=0, le=512, allow_inf_nan=False)  # standard deviation in pixels
    blur_y: float = Field(default=4, ge=0, le=512, allow_inf_nan=False)
    rounded: bool = True  # on the latent grid a pixel is masked or not; else as much as the mask says
    content: Literal["fill", "original", "noise", "nothing"] = "original"  # under the mask, at the start
    only_masked: bool = False  # draw the mask's surroundings at full size, and paste them back
    padding: int = Field(default=0, ge=0, le=4096)  # around the mask with only_masked
    overlay: bool = True  # the original's own pixels outside of the mask
    conditioning_weight: Fraction = 1.0  # of checkpoints made for inpainting


class Hires(StrictModel):
    """A second pass over the upscaled first one."""

    width: Side
    height: Side
    scale: float | None = None  # by which the size was asked for, where it was
    upscaler: Name = "Latent"
    num_inference_steps: int = Field(default=0, ge=0, le=500)  # 0: as many as the first pass
    strength: Fraction = 0.7
    sampler: str = ""  # empty or None: the first pass's; so in all of the following
    scheduler: str = ""
    eta: float | None = Field(default=None, ge=0, le=10, allow_inf_nan=False)
    checkpoint: Name = ""
    prompt: Prompt = ""
    negative_prompt: Prompt = ""
    loras: tuple[LoraUse, ...] | None = Field(default=None, max_length=MOST_LORAS)  # None: the first pass's


class Upscale(StrictModel):
    """Enlarging and nothing else: by a factor, or to a size that is covered and, with ``crop``, cut to."""

    scale: float = Field(default=2.0, gt=0, le=16, allow_inf_nan=False)
    width: int = Field(default=0, ge=0, le=16_384)  # 0: by the factor
    height: int = Field(default=0, ge=0, le=16_384)
    crop: bool = True
    upscaler: Name = upscaler_catalog.NONE  # None leaves the picture as it is
    upscaler_2: Name = upscaler_catalog.NONE
    upscaler_2_visibility: Fraction = 0.0  # how much of the second one's picture is laid over the first one's


class Refiner(StrictModel):
    """Another checkpoint, which takes over at a share of the steps."""

    checkpoint: Name
    switch_at: Fraction = 0.8


class ControlUnit(StrictModel):
    """One ControlNet with its picture. Without a model the module alone acts (reference_only), or only shows its map."""

    model: Name = ""
    module: Name = "none"
    image: Picture | None = None  # None: the init image
    mask: Picture | None = None  # inpainting modules: what is drawn anew; others: a sketch to use as the map
    region: Picture | None = None  # white where the unit acts
    weight: float = Field(default=1.0, ge=0, le=5, allow_inf_nan=False)
    guidance_start: Fraction = 0.0
    guidance_end: Fraction = 1.0
    control_mode: Literal["balanced", "prompt", "control"] = "balanced"  # which of the two matters more
    layer_weights: tuple[Factor, ...] = Field(default=(), max_length=64)  # of its residuals, middle last
    resize_mode: Literal["stretch", "crop", "fill"] = "crop"
    processor_res: int | None = Field(default=None, ge=1, le=4096)  # None: the module's own default; so below
    threshold_a: float | None = Field(default=None, allow_inf_nan=False)
    threshold_b: float | None = Field(default=None, allow_inf_nan=False)
    pixel_perfect: bool = False
    hr_option: Literal["both", "low", "high"] = "both"
    crop_with_mask: bool = True  # with an inpainting that draws only the masked part
    return_map: bool = True


class SigmaOverrides(StrictModel):
    """Other ends and other curves than a schedule has by itself, where it has them. 0 leaves it as it is."""

    sigma_min: float = Field(default=0.0, ge=0, le=10, allow_inf_nan=False)
    sigma_max: float = Field(default=0.0, ge=0, le=10_000, allow_inf_nan=False)
    rho: float = Field(default=0.0, ge=0, le=100, allow_inf_nan=False)
    beta_alpha: float = Field(default=0.6, ge=0.01, le=10, allow_inf_nan=False)
    beta_beta: float = Field(default=0.6, ge=0.01, le=10, allow_inf_nan=False)

    @model_validator(mode="after")
    def falls(self) -> SigmaOverrides:
        if self.sigma_max and self.sigma_max <= max(self.sigma_min, LOWEST_SIGMA_MAX):
            raise ValueError(f"sigma_max must be greater than sigma_min and than {LOWEST_SIGMA_MAX}")
        return self


class UniPC(StrictModel):
    """How the sampler of that name corrects itself, and where it looks."""

    variant: Literal["bh1", "bh2", "vary_coeff"] = "bh1"
    skip_type: Literal["time_uniform", "time_quadratic", "logSNR"] = "time_uniform"
    order: int = Field(default=3, ge=1, le=9)
    lower_order_final: bool = True


class ChangeBackground(StrictModel):
    """A new background behind the product that the init image shows. The request's sizes are what is drawn."""

    mask: Picture | None = None  # white where the product is, unless ``mask_invert``
    mask_invert: bool = False
    cut_out_by: Literal["matting", "transparency"] = "matting"  # where there is no mask
    matting_model: Name = ""  # empty: the default one
    mask_expansion: int = Field(default=-2, ge=-256, le=256)  # pixels; below 0 the product loses its rim
    feather: int = Field(default=2, ge=0, le=64)  # pixels to each side of the rim where the two are blended
    content: Literal["fill", "original", "noise", "nothing"] = "fill"  # behind the product, at the start
    output_width: int = Field(default=0, ge=0, le=4096)  # of the finished picture; 0: what is drawn
    output_height: int = Field(default=0, ge=0, le=4096)


class CutOut(StrictModel):
    """The foreground of the init image on a transparent background, its mask, or both."""

    matting_model: Name = ""  # empty: the default one
    mask_only: bool = False  # the mask instead of the image
    with_mask: bool = False  # the masks as further outputs, after the images

    @model_validator(mode="after")
    def returns_an_image_beside_its_mask(self) -> CutOut:
        if self.mask_only and self.with_mask:
            raise ValueError("cut_out: mask_only and with_mask exclude each other")
        return self


class FaceRestoration(StrictModel):
    """The faces of every finished picture, drawn anew by a network that knows nothing but faces."""

    model: Name = ""  # a face restorer; empty: the default one
    detector: Name = ""  # finds the faces; empty: the default one
    visibility: Fraction = 1.0  # of what it drew, over what was there


class Nsfw(StrictModel):
    """What happens to a finished picture that the detector finds unfit to be shown."""

    policy: NsfwPolicy = "off"
    model: Name = ""  # empty: the default detector
    threshold: Fraction | None = None  # from which score on; None: the detector's own

    @property
    def hides(self) -> bool:
        """Nothing of an unfit picture may be seen."""
        return self.policy in ("blur", "blank", "refuse")


class Label(StrictModel):
    """Words in a corner of every finished picture. The platform draws them, not the runner."""

    text: str = Field(min_length=1, max_length=200)
    corner: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = "bottom-right"
    opacity: Fraction = 0.3


class Mark(StrictModel):
    """A hidden text of the finished file: a PNG's text chunk."""

    key: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,79}$")
    text: str = Field(max_length=8000)


class GenerationRequest(StrictModel):
    """Seeds are resolved at admission, so that a retry draws the same pictures."""

    task: Literal["txt2img", "img2img", "change_background", "upscale", "cut_out", "control_map"] = "txt2img"
    output_format: Literal["png", "jpeg", "webp"] = "png"
    output_quality: int = Field(default=95, ge=1, le=100)  # of JPEG and WebP
    preview_every: int = Field(default=0, ge=0, le=500)  # steps between previews; 0 sends none

    # Models, by the registry's names.
    checkpoint: str = ""  # empty asks for the default checkpoint
    vae: Name = ""  # empty: the checkpoint's own
    loras: tuple[LoraUse, ...] = Field(default=(), max_length=MOST_LORAS)
    embeddings: tuple[Name, ...] = Field(default=(), max_length=64)  # those whose names the prompts may say
    refiner: Refiner | None = None
    clip_skip: int = Field(default=1, ge=1, le=12)
    tiling: bool = False

    # Words.
    prompt: Prompt = ""
    negative_prompt: Prompt = ""
    guidance_scale: float = Field(default=7.0, ge=0, le=100, allow_inf_nan=False)
    emphasis: Emphasis = "Original"
    comma_backtrack: int = Field(default=20, ge=0, le=75)

    # Sizes and counts.
    width: Side = 512
    height: Side = 512
    num_images: int = Field(default=1, ge=1, le=256)
    batch_size: int = Field(default=1, ge=1, le=256)  # pictures of this job drawn at the same time

    # The walk.
    num_inference_steps: Steps = 20
    sampler: str = "Euler"
    scheduler: str = "Automatic"  # a label of schedules.SCHEDULES
    eta: float | None = Field(
        default=None, ge=0, le=10, allow_inf_nan=False
    )  # None: the sampler's own default
    s_churn: float = Field(default=0.0, ge=0, le=1000, allow_inf_nan=False)
    s_tmin: float = Field(default=0.0, ge=0, le=10_000, allow_inf_nan=False)
    s_tmax: float | None = Field(default=None, ge=0, allow_inf_nan=False)  # None: infinite
    s_noise: float = Field(default=1.0, ge=0, le=10, allow_inf_nan=False)
    s_min_uncond: float = Field(
        default=0.0, ge=0, le=15, allow_inf_nan=False
    )  # below it every second step is unguided
    discard_penultimate: bool = False  # beyond the samplers that always do
    schedule_bend: SigmaOverrides = SigmaOverrides()
    unipc: UniPC = UniPC()
    sgm_noise_multiplier: bool = False  # txt2img starts from a variance of 1 + sigma², not of sigma²

    # Noise.
    seed: int = Field(default=0, ge=0, le=MAX_SEED)  # picture i is drawn with (seed + i) modulo 2**32
    subseed: int = Field(default=0, ge=0, le=MAX_SEED)
    subseed_strength: Fraction = 0.0  # above 0 all pictures have one seed, and subseed + i
    seed_resize_from_width: int = Field(default=0, ge=0, le=4096)  # 0: off
    seed_resize_from_height: int = Field(default=0, ge=0, le=4096)
    noise_source: Literal["cpu", "nv"] = "cpu"
    eta_noise_seed_delta: int = Field(default=0, ge=0, le=MAX_SEED)

    # From a picture.
    init_images: tuple[Picture, ...] = ()  # img2img: one for all pictures, or one each
    background: str = Field(default="#ffffff", pattern=r"^#[0-9a-fA-F]{6}$")  # behind transparent parts
    resize_mode: ResizeMode = "stretch"
    upscaler: Name = ""  # where init images are enlarged; empty: Lanczos
    strength: Fraction = 0.75
    exact_steps: bool = False  # img2img runs num_inference_steps, not its share of them
    initial_noise_multiplier: float = Field(default=1.0, ge=0, le=10, allow_inf_nan=False)
    colour_correction: bool = False
    keep_texture: bool = True  # False: img2img begins with the init image's colours and forms alone
    inpaint: Inpaint | None = None
    change_background: ChangeBackground | None = None

    # Beside and behind it.
    controls: tuple[ControlUnit, ...] = Field(default=(), max_length=10)
    hires: Hires | None = None
    upscale: Upscale | None = None
    cut_out: CutOut | None = None
    face_restoration: FaceRestoration | None = None
    face_identity: Fraction = 0.0  # how much of the init image's face an IP-Adapter is to bring
    nsfw: Nsfw = Nsfw()
    labels: tuple[Label, ...] = Field(default=(), max_length=4)
    marks: tuple[Mark, ...] = Field(default=(), max_length=8)  # of PNG files only

    @model_validator(mode="after")
    def has_the_pictures_its_task_needs(self) -> GenerationRequest:
        if (self.task == "change_background") != (self.change_background is not None):
            raise ValueError(
                "change_background is required for, and only allowed with, task=change_background"
            )
        if self.change_background and self.inpaint:
            raise ValueError(
                "change_background and inpaint exclude each other: the mask is change_background.mask"
            )
        if self.task != "txt2img":
            if len(self.init_images) not in (1, self.num_images):
                raise ValueError(f"{self.task} needs one init image, or one for each picture")
        elif self.init_images or self.inpaint:
            raise ValueError("txt2img takes no init image and no mask")
        if self.hires and self.task != "txt2img":
            raise ValueError("only txt2img has a second pass")
        if (self.task == "upscale") != (self.upscale is not None):
            raise ValueError("upscale says how, and is its own task")
        if (self.task == "cut_out") != (self.cut_out is not None):
            raise ValueError("cut_out says how, and is its own task")
        if self.cut_out and not self.cut_out.mask_only and self.output_format == "jpeg":
            raise ValueError("what is cut out is transparent around it, which a JPEG cannot be")
        if self.face_restoration and self.task in ("cut_out", "control_map"):
            raise ValueError(f"{self.task} draws no picture whose faces could be restored")
        if self.task == "control_map" and len(self.controls) != 1:
            raise ValueError("control_map shows what one control unit would be shown")
        return self

    @model_validator(mode="after")
    def can_be_marked(self) -> GenerationRequest:
        if self.marks and self.output_format != "png":
            raise ValueError("marks are a PNG file's")
        return self

    @property
    def walks(self) -> bool:
        """Whether a UNet is asked for it, step by step; otherwise each picture is one step."""
        return self.task in ("txt2img", "img2img", "change_background")

    @property
    def num_outputs(self) -> int:
        """Files that a runner returns: one for each image, and one for its mask where that is asked for, too."""
        with_masks = self.cut_out is not None and self.cut_out.with_mask
        return self.num_images * 2 if with_masks else self.num_images

    def seed_of(self, index: int) -> int:
        """Variations are of one seed."""
        return self.seed if self.subseed_strength else (self.seed + index) % (MAX_SEED + 1)

    def subseed_of(self, index: int) -> int:
        return (self.subseed + index) % (MAX_SEED + 1)

    def pictures(self) -> set[str]:
        """SHA-256 of every input picture, wherever in the request it is named."""
        return {picture.sha256 for picture in _pictures(self)}

    def model_names(self) -> list[ModelName]:
        """Every model file that it names, but for the checkpoint, each once."""
        hires_loras = (self.hires.loras if self.hires else None) or ()
        names = [
            ModelName("vae", self.vae),
            *(ModelName("lora", lora.name) for lora in (*self.loras, *hires_loras)),
            *(ModelName("embedding", name) for name in self.embeddings),
            *(ModelName("controlnet", unit.model) for unit in self.controls),
            *(ModelName("preprocessor", weights_of(unit.module)) for unit in self.controls),
            ModelName("checkpoint", self.refiner.checkpoint if self.refiner else ""),
            ModelName("checkpoint", self.hires.checkpoint if self.hires else ""),
            *(ModelName("upscaler", upscaler_catalog.file_of(name)) for name in self._upscalers()),
            ModelName("matting", self.change_background.matting_model if self.change_background else ""),
            ModelName("matting", self.cut_out.matting_model if self.cut_out else ""),
            ModelName("face_restorer", self.face_restoration.model if self.face_restoration else ""),
            ModelName("face_detector", self.face_restoration.detector if self.face_restoration else ""),
            ModelName("nsfw", self.nsfw.model if self.nsfw.policy != "off" else ""),
        ]
        return [name for name in dict.fromkeys(names) if name.name]

    def _upscalers(self) -> list[str]:
        hires = self.hires.upscaler if self.hires else ""
        second = [self.upscale.upscaler, self.upscale.upscaler_2] if self.upscale else []
        return [self.upscaler, hires, *second]


def _pictures(part: Any) -> Iterator[Picture]:
    if isinstance(part, Picture):
        yield part
    elif isinstance(part, tuple):
        for item in part:
            yield from _pictures(item)
    elif isinstance(part, BaseModel):
        for name in _fields_with_pictures(type(part)):
            if value := getattr(part, name):
                yield from _pictures(value)


@cache
def _fields_with_pictures(message: type[BaseModel]) -> tuple[str, ...]:
    return tuple(name for name, field in message.model_fields.items() if _may_hold_picture(field.annotation))


def _may_hold_picture(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation is Picture or bool(_fields_with_pictures(annotation))
    return any(_may_hold_picture(part) for part in get_args(annotation))
