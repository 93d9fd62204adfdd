"""The denoising loop of one image: sampler, conditioning schedule, inpainting mask and control inputs."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from gpu_runner.networks.diffusion.guidance import DenoiseInput, Guidance, GuidedAndUnguided
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.operations import Denoise, Operation
from gpu_runner.protocol import GenerationRequest, sampler_catalog
from gpu_runner.protocol.schedules.sigmas import NoiseLevels
from gpu_runner.protocol.step_count import evaluations, schedule_of, sigmas_of
from gpu_runner.samplers import SAMPLERS, SamplerOptions
from gpu_runner.samplers.noise import LATENT_SCALE, NoiseStream

from .control_schedule import ControlSchedule, acting_at
from .guidance_schedule import GuidanceSchedule
from .inpainting import LatentMask

Answer = Tensor | GuidedAndUnguided
CFGPP_SHARE = 12.5  # guidance_scale that corresponds to a CFG++ weight of 1


class StopFlag:
    """Set by another thread; the loop stops after the current step and returns the current x0 estimate."""

    pulled = False


@dataclass(frozen=True)
class SamplingConfig:
    """Sampler, sigmas and size in pixels of one denoising pass; shared by all images of a request."""

    sampler: str
    levels: NoiseLevels
    sigmas: list[float]
    options: SamplerOptions
    width: int
    height: int
    noise_multiplier: float = 1.0  # scales the noise added to an init latent
    s_min_uncond: float = 0.0
    sgm_noise_multiplier: bool = False

    @classmethod
    def of(cls, request: GenerationRequest, levels: NoiseLevels) -> SamplingConfig:
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
        """UNet calls per image; an estimate for adaptive samplers."""
        return evaluations(self.sampler, self.sigmas, self.options.eta)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return 4, self.height // LATENT_SCALE, self.width // LATENT_SCALE

    @property
    def variance_preserving(self) -> bool:
        """Whether x starts and ends in the variance-preserving space (samplers with own timesteps)."""
        return sampler_catalog.sampler(self.sampler).variance_preserving

    def start(self, latent: Tensor | None, noise: NoiseStream) -> Tensor:
        """Return the initial x: the noised latent, or pure noise if ``latent`` is None."""
        sigma = self.sigmas[0]
        if latent is not None:
            return latent + noise.draw() * (sigma * self.noise_multiplier)
        widened = self.variance_preserving or self.sgm_noise_multiplier
        return noise.draw() * ((1 + sigma**2) ** 0.5 if widened else sigma)

    def guided(self, guidance: Guidance, sigma: float, call: int) -> Guidance:
        """Adapt the guidance to the sampler and call.

        CFG++ samplers get separate guidance. Below s_min_uncond, odd calls skip the negative conditioning.
        """
        if sampler_catalog.sampler(self.sampler).guided_apart:
            return guidance.apart_at(guidance.scale / CFGPP_SHARE)
        if call % 2 and sigma < self.s_min_uncond:
            return guidance.unopposed()
        return guidance


@dataclass(frozen=True)
class DenoiseContext:
    """UNet and its conditioning per call (0-based)."""

    model: LoadedCheckpoint
    direction: GuidanceSchedule
    keeping: LatentMask | None = None
    extra: Tensor | None = None  # additional input channels of inpainting checkpoints
    steerings: tuple[ControlSchedule, ...] = ()

    def ask(self, way: SamplingConfig, x: Tensor, sigma: float, call: int) -> Denoise:
        """Build the Denoise operation of one call.

        For variance-preserving samplers the inpainting mask is applied to x, otherwise to the x0 estimate.
        """
        if self.keeping is not None and way.variance_preserving:
            x = self.keeping.blend_noisy(x, sigma)
        timestep = way.levels.timestep_at(sigma)
        guidance = way.guided(self.direction.at(call), sigma, call)
        acting = acting_at(self.steerings, min(call, way.steps - 1) / way.steps)
        return Denoise(self.model, DenoiseInput(x, sigma, timestep, guidance, self.extra, *acting))

    def settled(self, way: SamplingConfig, answer: Answer) -> Answer:
        """Apply the inpainting mask to the x0 estimate, if the sampler is not variance-preserving."""
        if self.keeping is None or isinstance(answer, GuidedAndUnguided) or way.variance_preserving:
            return answer
        return self.keeping.blend(answer)


def run_denoising_loop(
    way: SamplingConfig,
    script: DenoiseContext | RefinerSwitch,
    x: Tensor,
    noise: NoiseStream,
    brake: StopFlag,
) -> Generator[Operation, Any, Tensor]:
    """Run the sampler; yields Denoise operations and returns the final latent (4, h, w)."""
    sampler = SAMPLERS[way.sampler](x, way.sigmas, noise, way.options)
    answer: Answer | None = None
    call = 0
    try:
        while True:
            x, sigma = sampler.send(answer) if answer is not None else next(sampler)
            answer = script.settled(way, (yield script.ask(way, x, sigma, call)))
            call += 1
            if brake.pulled:
                return answer.denoised if isinstance(answer, GuidedAndUnguided) else answer
    except StopIteration as end:
        return end.value / (1 + way.sigmas[-1] ** 2) ** 0.5 if way.variance_preserving else end.value


TRAINING_STEPS = 1000


class RefinerSwitch:
    """Uses the base model until ``switch_at`` (fraction of training timesteps), then the refiner.

    A1111 1.10 and later also switch by timestep, not by call. The switch is final, even with samplers that
    return to a higher noise level.
    """

    def __init__(self, first: DenoiseContext, second: DenoiseContext, switch_at: float) -> None:
        self._speaking = first
        self._second = second
        self._switch_at = switch_at

    def ask(self, way: SamplingConfig, x: Tensor, sigma: float, call: int) -> Denoise:
        last = TRAINING_STEPS - 1
        if (last - way.levels.timestep_at(sigma)) / TRAINING_STEPS >= self._switch_at:
            self._speaking = self._second
        return self._speaking.ask(way, x, sigma, call)

    def settled(self, way: SamplingConfig, answer: Answer) -> Answer:
        return self._speaking.settled(way, answer)
