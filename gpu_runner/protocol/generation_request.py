"""The canonical generation request: every dialect is translated to it, jobs store it, and runners execute it.

Fields are named as in diffusers where it has an equivalent. Sizes are in pixels. No torch, no Django.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from . import upscaler_catalog
from .preprocessor_catalog import weights_of
from .tile_grid import tile_rows

MIN_SEED, MAX_SEED = -(2**63), 2**64 - 1  # torch's; a negative seed is the same as seed + 2**64
MAX_LORAS = 32  # per pass
MAX_TILES = 1024  # of an image; 64 x 64 pixel tiles of a 1024 x 1024 image with an overlap of 8 are 361
MAX_LORA_RANK = 4096
MAX_DETAIL_PASSES = 15
MAX_REGIONS = 64  # of a detail pass
MIN_SIGMA_MAX = 0.5  # well above sigma_min of every supported model (about 0.03)

Factor = Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=48, le=4096, multiple_of=8)]
Seed = Annotated[int, Field(ge=MIN_SEED, le=MAX_SEED)]
Name = Annotated[str, Field(max_length=255)]
Prompt = Annotated[str, Field(max_length=32_000)]
Steps = Annotated[int, Field(ge=1, le=500)]
Emphasis = Literal["Original", "No norm", "Ignore", "None"]
ResizeMode = Literal["stretch", "crop", "fill", "latent"]
NsfwPolicy = Literal["off", "flag", "blur", "blank", "refuse"]  # in order of strictness
NSFW_POLICIES: tuple[NsfwPolicy, ...] = get_args(NsfwPolicy)


class StrictModel(BaseModel):
    """Frozen model that rejects unknown fields, so that a field of another version is never ignored silently."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class InputImage(StrictModel):
    """Reference to an input image by the SHA-256 of its file. The bytes are sent beside the request (RunRequest.inputs)."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class ModelName(NamedTuple):
    """Kind and name of a model in the registry."""

    kind: str
    name: str

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.name}"


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


class SigmaOverrides(StrictModel):
    """Overrides of a sigma schedule's range and curve, for the schedulers that have them. 0 keeps the default."""

    sigma_min: float = Field(default=0.0, ge=0, le=10, allow_inf_nan=False)
    sigma_max: float = Field(default=0.0, ge=0, le=10_000, allow_inf_nan=False)
    rho: float = Field(default=0.0, ge=0, le=100, allow_inf_nan=False)
    beta_alpha: float = Field(default=0.6, ge=0.01, le=10, allow_inf_nan=False)
    beta_beta: float = Field(default=0.6, ge=0.01, le=10, allow_inf_nan=False)

    @model_validator(mode="after")
    def sigma_max_exceeds_sigma_min(self) -> SigmaOverrides:
        lower_bound = max(self.sigma_min, MIN_SIGMA_MAX)
        if self.sigma_max and self.sigma_max <= lower_bound:
            raise ValueError(
                f"sigma_max must be 0 or greater than {lower_bound:g}, the larger of sigma_min and {MIN_SIGMA_MAX}"
                f" (got {self.sigma_max:g})"
            )
        return self


class UniPC(StrictModel):
    """Options of the UniPC sampler, as in A1111's settings."""

    variant: Literal["bh1", "bh2", "vary_coeff"] = "bh1"
    skip_type: Literal["time_uniform", "time_quadratic", "logSNR"] = "time_uniform"
    order: int = Field(default=3, ge=1, le=9)
    lower_order_final: bool = True


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


class Analysis(StrictModel):
    """Parameters of task=analyze: what to find in each init image. The results are data (Findings), not images."""

    find: Literal["faces", "tags", "nsfw"]
    model: Name = ""  # face detector, tagger or NSFW detector; empty: the default one
    threshold: Fraction | None = None  # minimum score; None: the model's default
    character_threshold: Fraction | None = None  # the same for tags of characters
    crops: bool = False  # faces of one image: also return an image of each

    @model_validator(mode="after")
    def only_tags_have_characters(self) -> Analysis:
        if self.character_threshold is not None and self.find != "tags":
            raise ValueError(f"character_threshold is only allowed with find=tags (got find={self.find})")
        return self

    @property
    def model_kind(self) -> str:
        """Kind of the model in the registry."""
        return ANALYSIS_MODELS[self.find]


ANALYSIS_MODELS = {"faces": "face_detector", "tags": "tagger", "nsfw": "nsfw"}


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


class Nsfw(StrictModel):
    """NSFW check of every output, and the policy that is applied to detected ones."""

    policy: NsfwPolicy = "off"
    model: Name = ""  # empty: the default detector
    threshold: Fraction | None = None  # minimum score; None: the detector's default

    @property
    def hides(self) -> bool:
        """Whether the policy withholds detected images, and therefore previews too."""
        return self.policy in ("blur", "blank", "refuse")


class Label(StrictModel):
    """Visible text in a corner of every output. Drawn by the platform, not by the runner."""

    text: str = Field(min_length=1, max_length=200)
    corner: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = "bottom-right"
    opacity: Fraction = 0.3


class Mark(StrictModel):
    """Metadata of the output file, stored as a PNG text chunk."""

    key: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,79}$")
    text: str = Field(max_length=8000)


# Field -> the task whose parameters it holds.
PARAMETERS_OF_TASKS = {
    "change_background": "change_background",
    "upscale": "upscale",
    "cut_out": "cut_out",
    "analysis": "analyze",
}


class GenerationRequest(StrictModel):
    """One generation job. Random seeds are resolved at admission, so that a retry gives the same outputs."""

    task: Literal[
        "txt2img", "img2img", "change_background", "upscale", "cut_out", "control_map", "analyze"
    ] = "txt2img"
    output_format: Literal["png", "jpeg", "webp", "avif"] = "png"
    output_quality: int = Field(default=95, ge=1, le=100)  # of JPEG and WebP
    preview_every: int = Field(default=0, ge=0, le=500)  # steps between previews; 0 sends none

    # Models, by their names in the registry.
    checkpoint: str = ""  # empty: the default checkpoint
    vae: Name = ""  # empty: the checkpoint's VAE
    loras: tuple[LoraUse, ...] = Field(default=(), max_length=MAX_LORAS)
    embeddings: tuple[Name, ...] = Field(default=(), max_length=64)  # textual inversions used by the prompts
    refiner: Refiner | None = None
    clip_skip: int = Field(default=1, ge=1, le=12)
    tiling: bool = False

    # Prompts.
    prompt: Prompt = ""
    negative_prompt: Prompt = ""
    guidance_scale: float = Field(default=7.0, ge=0, le=100, allow_inf_nan=False)
    emphasis: Emphasis = "Original"
    comma_backtrack: int = Field(default=20, ge=0, le=75)

    # Size and number of images.
    width: Side = 512
    height: Side = 512
    num_images: int = Field(default=1, ge=1, le=256)
    batch_size: int = Field(default=1, ge=1, le=256)  # images of this job denoised at the same time

    # Sampling.
    num_inference_steps: Steps = 20
    sampler: str = "Euler"
    scheduler: str = "Automatic"  # a label of sampler_catalog.SCHEDULERS
    eta: float | None = Field(default=None, ge=0, le=10, allow_inf_nan=False)  # None: the sampler's default
    s_churn: float = Field(default=0.0, ge=0, le=1000, allow_inf_nan=False)
    s_tmin: float = Field(default=0.0, ge=0, le=10_000, allow_inf_nan=False)
    s_tmax: float | None = Field(default=None, ge=0, allow_inf_nan=False)  # None: infinite
    s_noise: float = Field(default=1.0, ge=0, le=10, allow_inf_nan=False)
    # Below this sigma, every second step skips the negative prompt (A1111's NGMS).
    s_min_uncond: float = Field(default=0.0, ge=0, le=15, allow_inf_nan=False)
    discard_penultimate: bool = False  # drop the last nonzero sigma; some samplers always do
    schedule_bend: SigmaOverrides = SigmaOverrides()
    unipc: UniPC = UniPC()
    sgm_noise_multiplier: bool = False  # scale the initial noise by sqrt(1 + sigma²) instead of sigma

    # Noise.
    # Image i uses seed + i. noise_source "cpu" uses the lowest 32 bits, as torch does, except for the SDE samplers.
    seed: Seed = 0
    subseed: Seed = 0
    subseed_strength: Fraction = 0.0  # above 0, all images use ``seed``, and image i uses subseed + i
    seed_resize_from_width: int = Field(default=0, ge=0, le=4096)  # 0: off
    seed_resize_from_height: int = Field(default=0, ge=0, le=4096)
    noise_source: Literal["cpu", "nv"] = "cpu"
    eta_noise_seed_delta: Seed = 0

    # Init image.
    init_images: tuple[InputImage, ...] = ()  # one for all images, or one per image
    background: str = Field(default="#ffffff", pattern=r"^#[0-9a-fA-F]{6}$")  # replaces transparency
    resize_mode: ResizeMode = "stretch"
    upscaler: Name = ""  # for init images that are enlarged; empty: Lanczos
    strength: Fraction = 0.75
    # img2img runs num_inference_steps steps, not strength * num_inference_steps. As in A1111, DDIM, DDIM CFG++ and PLMS run
    # two steps less, and UniPC one.
    exact_steps: bool = False
    # InstructPix2Pix checkpoints only: how much the output keeps of the init image; None: 1.5. With strength 1, they start from
    # noise alone, as in diffusers, otherwise from the noised init image, as in A1111.
    image_guidance_scale: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    magic_mix: MagicMix | None = None
    initial_noise_multiplier: float = Field(default=1.0, ge=0, le=10, allow_inf_nan=False)
    colour_correction: bool = False
    keep_texture: bool = True  # False: blur the init image, keeping colors and large shapes only
    inpaint: Inpaint | None = None
    change_background: ChangeBackground | None = None

    # ControlNet, second pass, postprocessing.
    controls: tuple[ControlUnit, ...] = Field(default=(), max_length=10)
    hires: Hires | None = None
    upscale: Upscale | None = None
    tiled: TiledUpscale | None = None
    cut_out: CutOut | None = None
    analysis: Analysis | None = None
    face_restoration: FaceRestoration | None = None
    detail_passes: tuple[DetailPass, ...] = Field(default=(), max_length=MAX_DETAIL_PASSES)
    details_only: bool = False  # the detail passes alone, over the init image as it is
    face_identity: Fraction = 0.0  # weight of the init image's face (IP-Adapter)
    nsfw: Nsfw = Nsfw()
    labels: tuple[Label, ...] = Field(default=(), max_length=4)
    marks: tuple[Mark, ...] = Field(default=(), max_length=8)  # PNG only

    @model_validator(mode="after")
    def fields_match_the_task(self) -> GenerationRequest:
        """Check the fields that depend on ``task``. Raises ValueError with the field, what is allowed, and the value."""
        task, count = self.task, len(self.init_images)
        for name, owner in PARAMETERS_OF_TASKS.items():
            if task == owner and getattr(self, name) is None:
                raise ValueError(f"{name} is required with task={owner}")
            also = self.denoises and name == "cut_out"
            if task != owner and getattr(self, name) is not None and not also:
                raise ValueError(f"{name} is only allowed with task={owner} (got task={task})")
        if self.change_background and self.inpaint:
            raise ValueError(f"inpaint is not allowed with task={task}; use change_background.mask")
        if task == "txt2img":
            if count:
                raise ValueError(f"init_images must be empty with task=txt2img (got {count})")
            if self.inpaint:
                raise ValueError("inpaint is not allowed with task=txt2img")
        elif count not in (1, self.num_images):
            allowed = "1 image" if self.num_images == 1 else f"1 or num_images={self.num_images} images"
            raise ValueError(f"init_images must have {allowed} with task={task} (got {count})")
        if self.hires and task != "txt2img":
            raise ValueError(f"hires is only allowed with task=txt2img (got task={task})")
        if self.cut_out and task != "cut_out" and (self.cut_out.mask_only or self.cut_out.with_mask):
            raise ValueError(
                f"cut_out.mask_only and with_mask are only allowed with task=cut_out (got {task})"
            )
        if self.cut_out and not self.cut_out.mask_only and self.output_format == "jpeg":
            raise ValueError(
                "output_format must be png or webp with cut_out, whose output has an alpha channel (got jpeg);"
                " jpeg is allowed with cut_out.mask_only"
            )
        if self.face_restoration and task in ("cut_out", "control_map"):
            raise ValueError(f"face_restoration is not allowed with task={task}")
        if task == "control_map" and len(self.controls) != 1:
            raise ValueError(f"controls must have 1 unit with task=control_map (got {len(self.controls)})")
        return self

    @model_validator(mode="after")
    def crops_are_of_the_faces_of_one_image(self) -> GenerationRequest:
        if self.analysis and self.analysis.crops and (self.analysis.find != "faces" or self.num_images > 1):
            raise ValueError("analysis.crops is only allowed with analysis.find=faces and one init image")
        return self

    @model_validator(mode="after")
    def analysis_has_no_output_files(self) -> GenerationRequest:
        if self.task != "analyze":
            return self
        if len(self.init_images) != self.num_images:
            count = len(self.init_images)
            raise ValueError(
                f"init_images must have num_images={self.num_images} images with task=analyze (got {count})"
            )
        for name in ("inpaint", "controls", "face_restoration", "labels", "marks"):
            if getattr(self, name):
                raise ValueError(f"{name} is not allowed with task=analyze")
        if self.nsfw.policy != "off":
            raise ValueError('nsfw is not allowed with task=analyze; use analysis.find="nsfw"')
        return self

    @model_validator(mode="after")
    def tiles_fit_the_enlarged_image(self) -> GenerationRequest:
        part = self.tiled
        if part is None:
            return self
        if self.task != "img2img" or self.inpaint or self.controls or len(self.init_images) > 1:
            raise ValueError(
                "tiled is only allowed with task=img2img, one init image, no inpaint and no controls"
            )
        if part.overlap >= min(self.width, self.height):
            raise ValueError(f"tiled.overlap must be less than width and height (got {part.overlap})")
        if part.width < self.width or part.height < self.height:
            raise ValueError(
                f"width and height must be at most those of the enlarged image, {part.width} x {part.height}"
                f" (got {self.width} x {self.height})"
            )
        if self.tiles > MAX_TILES:
            raise ValueError(f"tiled must have at most {MAX_TILES} tiles (got {self.tiles}): use larger ones")
        return self

    @model_validator(mode="after")
    def features_of_init_images_fit_the_task(self) -> GenerationRequest:
        if self.image_guidance_scale is not None and self.task not in ("img2img", "change_background"):
            raise ValueError(
                f"image_guidance_scale is only allowed with task=img2img or change_background (got {self.task})"
            )
        if self.magic_mix is None:
            return self
        if self.task != "img2img" or self.inpaint or self.tiled:
            raise ValueError("magic_mix is only allowed with task=img2img, without inpaint and tiled")
        if self.magic_mix.kmin > self.strength:
            raise ValueError(
                f"magic_mix.kmin must be at most strength={self.strength:g} (got {self.magic_mix.kmin:g})"
            )
        return self

    @model_validator(mode="after")
    def detail_passes_follow_a_generation(self) -> GenerationRequest:
        if self.detail_passes and (self.task not in ("txt2img", "img2img") or self.tiled):
            raise ValueError("detail_passes are only allowed with task=txt2img or img2img, without tiled")
        if self.details_only and (self.task != "img2img" or self.inpaint or not self.detail_passes):
            raise ValueError("details_only needs task=img2img, detail_passes, and no inpaint")
        return self

    @model_validator(mode="after")
    def marks_need_png(self) -> GenerationRequest:
        if self.marks and self.output_format != "png":
            raise ValueError(f"marks are only allowed with output_format=png (got {self.output_format})")
        return self

    @property
    def denoises(self) -> bool:
        """Whether the task runs the denoising loop. Other tasks count one step per image."""
        return self.task in ("txt2img", "img2img", "change_background")

    @property
    def tiles(self) -> int:
        """Number of tiles that are denoised for one image."""
        part = self.tiled
        if part is None:
            return 1
        rows = tile_rows((part.width, part.height), (self.width, self.height), part.overlap)
        return len(rows) * len(rows[0])

    @property
    def num_outputs(self) -> int:
        """Number of output files: one per image, and one per mask with ``cut_out.with_mask``; none with task=analyze."""
        return 0 if self.task == "analyze" else self.num_results

    @property
    def num_results(self) -> int:
        """Number of results that a runner sends: output files, or findings with task=analyze."""
        with_masks = self.cut_out is not None and self.cut_out.with_mask
        return self.num_images * 2 if with_masks else self.num_images

    def seed_of(self, index: int) -> int:
        """Return the seed of image ``index``. With a subseed, all images share one seed."""
        return self.seed if self.subseed_strength else next_seed(self.seed, index)

    def subseed_of(self, index: int) -> int:
        """Return the variation seed of image ``index``."""
        return next_seed(self.subseed, index)

    def input_hashes(self) -> set[str]:
        """Return the SHA-256 of every input image in the request, at any depth."""
        return set(self.picture_paths())

    def picture_paths(self) -> dict[str, str]:
        """Return the place of each input image in the request, such as ``controls.0.image``, by SHA-256.

        An image that occurs more than once has the first of its places.
        """
        paths: dict[str, str] = {}
        for path, image in _input_images(self, ""):
            paths.setdefault(image.sha256, path)
        return paths

    def model_names(self) -> list[ModelName]:
        """Return every model file the request refers to, without duplicates and without ``checkpoint``."""
        hires_loras = (self.hires.loras if self.hires else None) or ()
        details = self.detail_passes
        region_loras = (region.loras or () for part in details for region in part.regions)
        controls = (*self.controls, *(unit for part in details for unit in part.controls))
        faces = [part for part in (self.face_restoration, *(p.face_restoration for p in details)) if part]
        names = [
            ModelName("vae", self.vae),
            *(ModelName("vae", part.vae or "") for part in details),
            *(ModelName("lora", lora.name) for lora in (*self.loras, *hires_loras, *chain(*region_loras))),
            *(ModelName("embedding", name) for name in self.embeddings),
            *(ModelName("controlnet", unit.model) for unit in controls),
            *(ModelName("preprocessor", weights_of(unit.module)) for unit in controls),
            ModelName("checkpoint", self.refiner.checkpoint if self.refiner else ""),
            ModelName("checkpoint", self.hires.checkpoint if self.hires else ""),
            *(ModelName("checkpoint", part.checkpoint) for part in details),
            *(ModelName(part.detector_kind, part.detector) for part in details),
            *(ModelName("upscaler", upscaler_catalog.file_of(name)) for name in self._upscalers()),
            ModelName("matting", self.change_background.matting_model if self.change_background else ""),
            ModelName(
                "text_detector", self.change_background.text_detector if self.change_background else ""
            ),
            ModelName("matting", self.cut_out.matting_model if self.cut_out else ""),
            *(ModelName("face_restorer", part.model) for part in faces),
            *(ModelName("face_detector", part.detector) for part in faces),
            ModelName("nsfw", self.nsfw.model if self.nsfw.policy != "off" else ""),
            *([ModelName(self.analysis.model_kind, self.analysis.model)] if self.analysis else ()),
        ]
        return [name for name in dict.fromkeys(names) if name.name]

    def _upscalers(self) -> list[str]:
        hires = self.hires.upscaler if self.hires else ""
        second = [self.upscale.upscaler, self.upscale.upscaler_2] if self.upscale else []
        tiled = [self.tiled.upscaler] if self.tiled else []
        return [self.upscaler, hires, *second, *tiled]


def next_seed(seed: int, offset: int) -> int:
    """Return seed + offset, continuing at 0 after MAX_SEED."""
    return seed + offset if seed + offset <= MAX_SEED else seed + offset - MAX_SEED - 1


def _input_images(part: Any, path: str) -> Iterator[tuple[str, InputImage]]:
    if isinstance(part, InputImage):
        yield path, part
    elif isinstance(part, tuple):
        for index, item in enumerate(part):
            yield from _input_images(item, f"{path}.{index}")
    elif isinstance(part, BaseModel):
        for name in _fields_with_images(type(part)):
            if value := getattr(part, name):
                yield from _input_images(value, f"{path}.{name}" if path else name)


@cache
def _fields_with_images(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(name for name, field in model.model_fields.items() if _may_hold_image(field.annotation))


def _may_hold_image(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation is InputImage or bool(_fields_with_images(annotation))
    return any(_may_hold_image(part) for part in get_args(annotation))
