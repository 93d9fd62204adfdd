"""One walk of a sampler from a noisy latent to a clean one, and what the model is told on the way."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import Tensor

from gpu_runner import catalogue
from gpu_runner.asks import Ask, DenoiseAsk
from gpu_runner.denoiser import Apart, Guidance, Question
from gpu_runner.direction import Direction
from gpu_runner.inpainting import Keeping
from gpu_runner.noise import LATENT_SCALE, NoiseStream
from gpu_runner.passes import evaluations, schedule_of, sigmas_of
from gpu_runner.protocol import GenerationRequest
from gpu_runner.refining import Handover
from gpu_runner.samplers import SAMPLERS, SamplerOptions
from gpu_runner.schedules import NoiseLevels
from gpu_runner.steering import Steering, acting_at

if TYPE_CHECKING:
    from gpu_runner.models import LoadedCheckpoint

Answer = Tensor | Apart
CFGPP_SHARE = 12.5  # the scale at which CFG++ is guided by all of the text


class Brake:
    """Pulled from outside, it ends the walk at the next estimate, which then is the picture."""

    pulled = False


@dataclass(frozen=True)
class Way:
    """Sampler, sigmas and size of one walk: what all pictures of a request have in common."""

    sampler: str
    levels: NoiseLevels
    sigmas: list[float]
    options: SamplerOptions
    width: int
    height: int
    noise_multiplier: float = 1.0  # of what is laid over a latent
    s_min_uncond: float = 0.0
    sgm_noise_multiplier: bool = False

    @classmethod
    def of(cls, request: GenerationRequest, levels: NoiseLevels) -> Way:
        levels = levels.of_sampler(request.sampler)
        return cls(
            sampler=request.sampler,
            levels=levels,
            sigmas=sigmas_of(request, levels),
            options=SamplerOptions.of(request, schedule_of(request, levels)),
            width=request.width,
            height=request.height,
            noise_multiplier=request.initial_noise_multiplier,
            s_min_uncond=request.s_min_uncond,
            sgm_noise_multiplier=request.sgm_noise_multiplier,
        )

    @cached_property
    def steps(self) -> int:
        """How often each picture will ask the UNet; what is usual where the sampler finds out on the way."""
        return evaluations(self.sampler, self.sigmas, self.options.eta)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return 4, self.height // LATENT_SCALE, self.width // LATENT_SCALE

    @property
    def variance_preserving(self) -> bool:
        """The samplers that walk their own timesteps begin and end in the variance-preserving space."""
        return catalogue.sampler(self.sampler).variance_preserving

    def start(self, latent: Tensor | None, noise: NoiseStream) -> Tensor:
        """The first x: the latent under noise, or noise alone."""
        sigma = self.sigmas[0]
        if latent is not None:
            return latent + noise.draw() * (sigma * self.noise_multiplier)
        widened = self.variance_preserving or self.sgm_noise_multiplier
        return noise.draw() * ((1 + sigma**2) ** 0.5 if widened else sigma)

    def guided(self, guidance: Guidance, sigma: float, call: int) -> Guidance:
        """As this sampler is guided at this call."""
        if catalogue.sampler(self.sampler).guided_apart:
            return guidance.apart_at(guidance.scale / CFGPP_SHARE)
        if call % 2 and sigma < self.s_min_uncond:
            return guidance.unopposed()
        return guidance


@dataclass(frozen=True)
class Script:
    """Who estimates, and what it is told at each call, counted from 0."""

    model: LoadedCheckpoint
    direction: Direction
    keeping: Keeping | None = None
    extra: Tensor | None = None  # what checkpoints made for inpainting are shown beside x
    steerings: tuple[Steering, ...] = ()

    def ask(self, way: Way, x: Tensor, sigma: float, call: int) -> DenoiseAsk:
        """Samplers that walk their own timesteps see the original in the question, the others in the answer."""
        if self.keeping is not None and way.variance_preserving:
            x = self.keeping.blend_noisy(x, sigma)
        timestep = way.levels.timestep_at(sigma)
        guidance = way.guided(self.direction.at(call), sigma, call)
        acting = acting_at(self.steerings, min(call, way.steps - 1) / way.steps)
        return DenoiseAsk(self.model, Question(x, sigma, timestep, guidance, self.extra, *acting))

    def settled(self, way: Way, answer: Answer) -> Answer:
        """What the sampler is told of the answer."""
        if self.keeping is None or isinstance(answer, Apart) or way.variance_preserving:
            return answer
        return self.keeping.blend(answer)


def walk(
    way: Way, script: Script | Handover, x: Tensor, noise: NoiseStream, brake: Brake
) -> Generator[Ask, Any, Tensor]:
    sampler = SAMPLERS[way.sampler](x, way.sigmas, noise, way.options)
    answer: Answer | None = None
    call = 0
    try:
        while True:
            x, sigma = sampler.send(answer) if answer is not None else next(sampler)
            answer = script.settled(way, (yield script.ask(way, x, sigma, call)))
            call += 1
            if brake.pulled:
                return answer.denoised if isinstance(answer, Apart) else answer
    except StopIteration as end:
        return end.value / (1 + way.sigmas[-1] ** 2) ** 0.5 if way.variance_preserving else end.value
