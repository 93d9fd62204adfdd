"""The canonical generation request: every dialect is translated to it, jobs store it, and runners execute it.

Fields are named as in diffusers where it has an equivalent. Sizes are in pixels. No torch, no Django.
"""

from __future__ import annotations

from itertools import chain
from typing import Literal

from pydantic import Field, model_validator

from gpu_runner.protocol.catalogs import upscalers as upscaler_catalog
from gpu_runner.protocol.catalogs.preprocessors import weights_of
from gpu_runner.protocol.images.tile_grid import tile_rows

from .request_parts.analysis import Analysis
from .request_parts.backgrounds import ChangeBackground, CutOut
from .request_parts.control import ControlUnit
from .request_parts.details import MAX_DETAIL_PASSES, DetailPass, FaceRestoration
from .request_parts.input_images import input_images_of
from .request_parts.outputs import Label, Mark, Nsfw
from .request_parts.passes import Hires, Inpaint, LoraUse, MagicMix, Refiner
from .request_parts.sampling import SigmaOverrides, UniPC
from .request_parts.training import LoraTraining
from .request_parts.upscaling import TiledUpscale, Upscale
from .request_parts.values import (
    MAX_LORAS,
    MAX_SEED,
    Fraction,
    InputImage,
    ModelName,
    Name,
    Prompt,
    Seed,
    Side,
    Steps,
    StrictModel,
)
from .request_parts.video import Video

MAX_REFERENCES = 16
MAX_TILES = 1024  # of an image; 64 x 64 pixel tiles of a 1024 x 1024 image with an overlap of 8 are 361
Emphasis = Literal["Original", "No norm", "Ignore", "None"]
ResizeMode = Literal["stretch", "crop", "fill", "latent"]
# Field -> the task whose parameters it holds.
PARAMETERS_OF_TASKS = {
    "change_background": "change_background",
    "upscale": "upscale",
    "cut_out": "cut_out",
    "analysis": "analyze",
    "training": "train_lora",
}


class GenerationRequest(StrictModel):
    """One generation job. Random seeds are resolved at admission, so that a retry gives the same outputs."""

    task: Literal[
        "txt2img",
        "img2img",
        "change_background",
        "upscale",
        "cut_out",
        "control_map",
        "analyze",
        "train_lora",
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
    # Images that a model looks at without drawing over them, as for editing by instruction. ComfyUI templates only: their
    # slots images[0], images[1], … take them in this order, as they are.
    images: tuple[InputImage, ...] = Field(default=(), max_length=MAX_REFERENCES)
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
    training: LoraTraining | None = None
    face_restoration: FaceRestoration | None = None
    detail_passes: tuple[DetailPass, ...] = Field(default=(), max_length=MAX_DETAIL_PASSES)
    details_only: bool = False  # the detail passes alone, over the init image as it is
    face_identity: Fraction = 0.0  # weight of the init image's face (IP-Adapter)
    video: Video | None = None  # ComfyUI workflows only: each result is a video instead of an image
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
        if task in ("txt2img", "train_lora"):
            if count:
                raise ValueError(f"init_images must be empty with task={task} (got {count})")
            if self.inpaint:
                raise ValueError(f"inpaint is not allowed with task={task}")
        elif count not in (1, self.num_images):
            allowed = "1 image" if self.num_images == 1 else f"1 or num_images={self.num_images} images"
            raise ValueError(f"init_images must have {allowed} with task={task} (got {count})")
        if self.images and task not in ("txt2img", "img2img"):
            raise ValueError(f"images is only allowed with task=txt2img or img2img (got task={task})")
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
    def training_has_one_grid_of_samples(self) -> GenerationRequest:
        if self.training and self.num_images != 1:
            raise ValueError(f"num_images must be 1 with task=train_lora (got {self.num_images})")
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

    @model_validator(mode="after")
    def videos_have_the_format_of_their_workflow(self) -> GenerationRequest:
        if self.video is None:
            return self
        if self.task not in ("txt2img", "img2img"):
            raise ValueError(f"video is only allowed with task=txt2img or img2img (got {self.task})")
        if self.output_format != "png":
            raise ValueError(
                f"output_format is not allowed with video, whose workflow decides it (got {self.output_format})"
            )
        if self.marks:
            raise ValueError("marks are not allowed with video: they are text chunks of PNG files")
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
        for path, image in input_images_of(self, ""):
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
            ModelName("tagger", self.training.tagger if self.training else ""),
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
