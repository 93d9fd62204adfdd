"""Facts about the denoising passes of a request: what "Automatic", defaults and rounding come to."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gpu_runner.protocol import GenerationRequest, StrictModel
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.step_count import count_evaluations, eta_of, hires_request

Name = Annotated[str, Field(max_length=64)]


class PassFacts(StrictModel):
    """One denoising pass."""

    name: Name = Field(examples=["first"])
    sampler: Name
    scheduler: Name = Field(description="Automatic is replaced by the sampler's own one.")
    steps: int = Field(ge=0, le=100_000)
    evaluations: int = Field(ge=0, le=1_000_000, description="Of the UNet, for one image.")
    eta: float = Field(allow_inf_nan=False)
    noise_source: Name = Field(description="Generator of the initial noise.")


def passes(request: GenerationRequest) -> tuple[PassFacts, ...]:
    """The first and the second pass. Detail passes depend on what is found in the image, and are not listed."""
    if not request.denoises:
        return ()
    walked = [("first", request)]
    if request.hires is not None:
        walked.append(("hires", hires_request(request, request.hires)))
    if not all(_is_known(part) for _name, part in walked):
        return ()  # admission refuses it
    counts = count_evaluations(request)
    return tuple(
        _facts(name, part, count.evaluations) for (name, part), count in zip(walked, counts, strict=False)
    )


def _is_known(request: GenerationRequest) -> bool:
    return sampler_catalog.is_sampler(request.sampler) and sampler_catalog.is_scheduler(request.scheduler)


def _facts(name: str, request: GenerationRequest, evaluations: int) -> PassFacts:
    return PassFacts(
        name=name,
        sampler=request.sampler,
        scheduler=sampler_catalog.effective_scheduler(request.sampler, request.scheduler),
        steps=request.num_inference_steps,
        evaluations=evaluations,
        eta=eta_of(request),
        noise_source=request.noise_source,
    )
