"""The passes of a request: which sigmas each walks, and how often it asks the model on the way. No torch: a quote knows it
before any runner does."""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from gpu_runner.protocol.schedules.alphas_cumprod import alphas_cumprod
from gpu_runner.protocol.schedules.ancestral import ancestral_split
from gpu_runner.protocol.schedules.restart import stretches
from gpu_runner.protocol.schedules.sigmas import NoiseLevels, img2img_part, lengthened, sigmas_for

from . import sampler_catalog
from .generation_request import GenerationRequest, Hires

TYPICAL_CALLS = 60  # of DPM adaptive, from pure noise; nobody knows before
SPLITS = frozenset(
    {"DPM2 a", "DPM++ 2S a"}
)  # whose second call is at the sigma that eta leaves to denoise to
WHAT_COUNTS = (
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
    """How often one picture asks the model in one pass, and how many pixels it has there."""

    evaluations: int
    pixels: int


def counted(request: GenerationRequest) -> list[PassCount]:
    """Where no UNet is asked, a picture is its step."""
    if not request.walks:
        return [PassCount(1, request.width * request.height)]
    passes = [request, *([second_request(request, request.hires)] if request.hires else [])]
    return [PassCount(_planned(walked), walked.width * walked.height) for walked in passes]


def second_request(request: GenerationRequest, hires: Hires) -> GenerationRequest:
    """The second pass as a request of its own: an img2img in the first one's words, but for what it changes."""
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


def eta_of(request: GenerationRequest) -> float:
    return (
        (sampler_catalog.sampler(request.sampler).default_eta or 0.0) if request.eta is None else request.eta
    )


def sigmas_of(request: GenerationRequest, levels: NoiseLevels) -> list[float]:
    """The sigmas that are run: all of the schedule for txt2img, its last part for img2img."""
    steps, strength = request.num_inference_steps, request.strength
    schedule = schedule_of(request, levels)
    if request.task == "txt2img":
        return schedule
    if not request.exact_steps:
        return img2img_part(request.sampler, schedule, steps, strength)
    return schedule[-steps - 1 :] if strength > 0 else [0.0]


def schedule_of(request: GenerationRequest, levels: NoiseLevels) -> list[float]:
    """The whole schedule. With ``exact_steps`` it is so long that img2img's part of it has all the steps."""
    steps, strength = request.num_inference_steps, request.strength
    if request.task != "txt2img" and request.exact_steps and strength > 0:
        steps = lengthened(steps, strength)
    return sigmas_for(
        levels,
        request.sampler,
        request.scheduler,
        steps,
        bend=request.schedule_bend,
        unipc=request.unipc,
        discard_penultimate=request.discard_penultimate,
    )


def evaluations(name: str, sigmas: list[float], eta: float) -> int:
    """How often the walk will ask the model. A second-order step asks twice, but once where it ends at zero."""
    steps = list(pairwise(sigmas))
    if not steps:
        return 0
    if name == "DPM adaptive":
        return TYPICAL_CALLS
    if name == "PLMS":
        return len(steps) + 1
    if not sampler_catalog.sampler(name).second_order:
        return len(steps)
    if name == "Restart":
        steps = stretches(sigmas)
    return sum(2 if _end(name, *step, eta) > 0 else 1 for step in steps)


def _planned(request: GenerationRequest) -> int:
    if not (sampler_catalog.is_sampler(request.sampler) and sampler_catalog.is_scheduler(request.scheduler)):
        return request.num_inference_steps  # it is refused, but a quote names a price all the same
    return _evaluations_of(*(getattr(request, name) for name in WHAT_COUNTS))


@lru_cache(maxsize=1024)
def _evaluations_of(*what_counts: Any) -> int:
    """A business asks for the same sampler and the same steps all day."""
    request = GenerationRequest.model_construct(**dict(zip(WHAT_COUNTS, what_counts, strict=True)))
    sigmas = sigmas_of(request, _usual_levels().of_sampler(request.sampler))
    return evaluations(request.sampler, sigmas, eta_of(request))


@cache
def _usual_levels() -> NoiseLevels:
    """Other levels move the sigmas, not their number."""
    return NoiseLevels(alphas_cumprod())


def _end(name: str, sigma: float, following: float, eta: float) -> float:
    return ancestral_split(sigma, following, eta)[0] if name in SPLITS else following
