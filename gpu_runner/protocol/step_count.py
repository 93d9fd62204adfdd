"""Passes of a request: their sigmas and their number of model evaluations. No torch: the platform prices requests with it."""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from gpu_runner.protocol.schedules.alphas_cumprod import alphas_cumprod
from gpu_runner.protocol.schedules.ancestral import ancestral_step
from gpu_runner.protocol.schedules.restart import restart_steps
from gpu_runner.protocol.schedules.sigmas import (
    Img2ImgSigmas,
    NoiseLevels,
    encoded_steps,
    img2img_on_own_timesteps,
    own_timesteps,
    sigmas_for,
    total_steps,
)

from .catalogs import samplers as sampler_catalog
from .generation_request import GenerationRequest, next_seed
from .request_parts.details import DetailPass
from .request_parts.passes import Hires, Inpaint
from .request_parts.training import LoraTraining
from .request_parts.values import InputImage

DPM_ADAPTIVE_EVALUATIONS = 60  # typical from pure noise; the exact number depends on the image
# Their second evaluation is at sigma_down of the ancestral step, and is skipped where that is 0.
ANCESTRAL_TWO_STAGE = frozenset({"DPM2 a", "DPM++ 2S a"})
NO_FILE = InputImage(sha256="0" * 64)  # of an image that exists only while its job runs
STEP_COUNT_FIELDS = (
    "task",
    "sampler",
    "scheduler",
    "num_inference_steps",
    "strength",
    "exact_steps",
    "eta",
    "schedule_bend",
    "unipc",
    "discard_penultimate",
)


class PassCount(NamedTuple):
    """Model evaluations of one image in one pass, the pixels of the image in that pass, and how many images it has beside
    the latent, which are references for families that read them.
    """

    evaluations: int
    pixels: int
    images: int = 0


def count_evaluations(request: GenerationRequest) -> list[PassCount]:
    """Return the evaluations of one image, one entry per pass. Tasks without a UNet count one evaluation.

    Detail passes count with the maximum number of regions: how many there are is known only when the image is done.
    """
    if request.training:
        return [_training_pass(request, request.training)]
    if not request.denoises:
        return [PassCount(1, request.width * request.height)]
    passes = [(request, 0 if request.details_only else request.tiles)]
    if request.hires:
        passes.append((hires_request(request, request.hires), 1))
    for part in request.detail_passes:
        passes.append((detail_request(request, part, 0, 0), part.most_inpainted))
    return [
        PassCount(
            _evaluations_of_pass(each) * times, each.width * each.height, _images_beside(request, number)
        )
        for number, (each, times) in enumerate(passes)
    ]


def _images_beside(request: GenerationRequest, number: int) -> int:
    """The init image, and those that are for reference only. A detail pass has the region that it draws again."""
    if number == 0:
        return len(request.images) + bool(request.init_images)
    return len(request.images) if number == 1 and request.hires else 1


def _training_pass(request: GenerationRequest, training: LoraTraining) -> PassCount:
    """A training as one pass. The samples are free, and every image counts with the pixels of the resolution."""
    rows = training.steps * training.batch_size
    return PassCount(rows * evaluations_per_trained_row(training), request.width * request.height)


def evaluations_per_trained_row(training: LoraTraining) -> int:
    """A forward pass and a backward pass, which takes about twice as long; the same again for the class prompt."""
    return 6 if training.keeps_prior else 3


def hires_request(request: GenerationRequest, hires: Hires) -> GenerationRequest:
    """Return the hires pass as an img2img request of its own: the fields of ``hires`` replace those of the first pass."""
    changes = {
        "task": "img2img",
        "width": hires.width,
        "height": hires.height,
        "strength": hires.strength,
        "exact_steps": True,
        "num_inference_steps": hires.num_inference_steps or request.num_inference_steps,
        "sampler": hires.sampler or request.sampler,
        "scheduler": hires.scheduler or request.scheduler,
        "eta": request.eta if hires.eta is None else hires.eta,
        "prompt": hires.prompt or request.prompt,
        "negative_prompt": hires.negative_prompt or request.negative_prompt,
        "loras": request.loras if hires.loras is None else hires.loras,
        "hires": None,
    }
    return request.model_copy(update=changes)


def detail_request(
    request: GenerationRequest, part: DetailPass, index: int, number: int
) -> GenerationRequest:
    """Return the inpainting of region ``number`` of image ``index`` as a request of its own, one seed later per region."""
    region = part.region(number)
    size = (
        request.hires if request.hires and not part.only_masked else request
    )  # that of the image, or of the first pass
    inpaint = Inpaint(
        mask=NO_FILE,
        blur_x=part.mask_blur,
        blur_y=part.mask_blur,
        only_masked=part.only_masked,
        padding=part.padding,
        overlay=part.overlay,
    )
    changes = {
        "task": "img2img",
        "init_images": (NO_FILE,),
        "inpaint": inpaint,
        "resize_mode": "stretch",
        "num_images": 1,
        "batch_size": 1,
        "seed": next_seed(request.seed_of(index), number),
        "subseed": next_seed(request.subseed_of(index), number),
        "prompt": region.prompt or request.prompt,
        "negative_prompt": region.negative_prompt or request.negative_prompt,
        "loras": request.loras if region.loras is None else region.loras,
        "strength": part.strength,
        "width": part.width or size.width,
        "height": part.height or size.height,
        "num_inference_steps": part.num_inference_steps or request.num_inference_steps,
        "guidance_scale": request.guidance_scale if part.guidance_scale is None else part.guidance_scale,
        "sampler": part.sampler or request.sampler,
        "scheduler": part.scheduler or request.scheduler,
        "eta": request.eta if part.eta is None else part.eta,
        "initial_noise_multiplier": part.noise_multiplier,
        "vae": request.vae if part.vae is None else part.vae,
        "clip_skip": part.clip_skip or request.clip_skip,
        "face_restoration": part.face_restoration,
        "controls": part.controls,
        "refiner": None,
        "hires": None,
        "detail_passes": (),
        "details_only": False,
    }
    return request.model_copy(update=changes)


def eta_of(request: GenerationRequest) -> float:
    """Return the request's eta, or the default of its sampler."""
    return (
        (sampler_catalog.sampler(request.sampler).default_eta or 0.0) if request.eta is None else request.eta
    )


def sigmas_of(request: GenerationRequest, levels: NoiseLevels) -> list[float]:
    """Return the sigmas of a pass, in descending order: the whole schedule for txt2img, its end for img2img."""
    return sigmas_and_noise_of(request, levels).sigmas


def sigmas_and_noise_of(request: GenerationRequest, levels: NoiseLevels) -> Img2ImgSigmas:
    """Return the sigmas of a pass, and the sigma that an init latent is noised to. That is the first one, except for
    samplers with own timesteps."""
    if request.task == "txt2img":
        schedule = schedule_of(request, levels)
        return Img2ImgSigmas(schedule, schedule[0])
    steps, strength = request.num_inference_steps, request.strength
    if request.exact_steps and strength == 0:
        return Img2ImgSigmas([0.0], 0.0)
    encoded = steps - 1 if request.exact_steps else encoded_steps(steps, strength)
    total = _schedule_steps(request)
    on_own_timesteps = sampler_catalog.sampler(request.sampler).variance_preserving
    if on_own_timesteps and not levels.is_flow:
        timesteps = own_timesteps(levels, total + request.discard_penultimate)
        unipc = request.unipc if request.sampler == "UniPC" else None
        return img2img_on_own_timesteps(levels, timesteps, encoded, unipc)
    schedule = schedule_of(request, levels)
    if on_own_timesteps:  # UniPC with a flow-matching model: as many steps as with the others
        sigmas = schedule[max(len(schedule) - 1 - encoded, 0) :]
    elif request.exact_steps:
        sigmas = schedule[-steps - 1 :]
    else:
        sigmas = schedule[max(total - encoded - 1, 0) :]
    return Img2ImgSigmas(sigmas, sigmas[0])


def _schedule_steps(request: GenerationRequest) -> int:
    """Number of steps of the whole schedule. With ``exact_steps``, img2img lengthens it so that its end has all the steps."""
    steps, strength = request.num_inference_steps, request.strength
    lengthened = request.task != "txt2img" and request.exact_steps and strength > 0
    return total_steps(steps, strength) if lengthened else steps


def schedule_of(request: GenerationRequest, levels: NoiseLevels) -> list[float]:
    """Return the whole schedule, of which img2img runs the end."""
    return sigmas_for(
        levels,
        request.sampler,
        request.scheduler,
        _schedule_steps(request),
        overrides=request.schedule_bend,
        unipc=request.unipc,
        discard_penultimate=request.discard_penultimate,
        is_img2img=request.task != "txt2img",
    )


def evaluations(name: str, sigmas: list[float], eta: float) -> int:
    """Return the number of model evaluations of one image. Second-order steps take two, or one if they end at sigma 0."""
    steps = list(pairwise(sigmas))
    if not steps:
        return 0
    if name == "DPM adaptive":
        return DPM_ADAPTIVE_EVALUATIONS
    if name == "PLMS":
        return len(steps) + 1
    if not sampler_catalog.sampler(name).second_order:
        return len(steps)
    if name == "Restart":
        steps = restart_steps(sigmas)
    return sum(2 if _second_stage_sigma(name, *step, eta) > 0 else 1 for step in steps)


def _evaluations_of_pass(request: GenerationRequest) -> int:
    if not (sampler_catalog.is_sampler(request.sampler) and sampler_catalog.is_scheduler(request.scheduler)):
        return request.num_inference_steps  # will be rejected; a quote still needs a number
    return _cached_evaluations(*(getattr(request, name) for name in STEP_COUNT_FIELDS))


@lru_cache(maxsize=1024)
def _cached_evaluations(*values: Any) -> int:
    """Cached, because clients repeat the same sampler settings in many requests."""
    request = GenerationRequest.model_construct(**dict(zip(STEP_COUNT_FIELDS, values, strict=True)))
    sigmas = sigmas_of(request, _default_levels().of_sampler(request.sampler))
    return evaluations(request.sampler, sigmas, eta_of(request))


@cache
def _default_levels() -> NoiseLevels:
    """The number of evaluations does not depend on the noise levels of the checkpoint."""
    return NoiseLevels(alphas_cumprod())


def _second_stage_sigma(name: str, sigma: float, sigma_next: float, eta: float) -> float:
    return ancestral_step(sigma, sigma_next, eta)[0] if name in ANCESTRAL_TWO_STAGE else sigma_next
