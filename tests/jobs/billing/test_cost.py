"""A quote, a reservation and a settlement speak of the same work: how often the model is really asked."""

from decimal import Decimal

import pytest

from gpu_runner.protocol import GenerationRequest, Hires, Picture, sampler_catalog
from gpu_runner.protocol.schedules.alphas_cumprod import alphas_cumprod, with_zero_terminal_snr
from gpu_runner.protocol.schedules.sigmas import NoiseLevels
from gpu_runner.protocol.step_count import hires_request
from gpu_runner.tasks.denoising_loop import SamplingConfig
from jobs.billing.cost import estimate, planned_steps, settled

FROM_A_PICTURE = {"task": "img2img", "init_images": (Picture(sha256="0" * 64),), "strength": 0.6}
WAYS = {
    "txt2img": {},
    "img2img": FROM_A_PICTURE,
    "img2img with exact steps": FROM_A_PICTURE | {"exact_steps": True},
    "hires": {"hires": Hires(width=768, height=768, sampler="DPM2 a", num_inference_steps=7)},
}
LEVELS = {
    "usual": NoiseLevels(alphas_cumprod()),
    "zero SNR": NoiseLevels(with_zero_terminal_snr(alphas_cumprod()), is_sdxl=True),
}


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sampler", [sampler.name for sampler in sampler_catalog.SAMPLERS])
def test_what_is_planned_is_what_the_runner_will_count(sampler, way, levels):
    for scheduler in ("Automatic", "KL Optimal", "Karras"):
        for steps in (1, 20, 40):
            request = GenerationRequest(
                sampler=sampler, scheduler=scheduler, num_inference_steps=steps, num_images=2, **WAYS[way]
            )
            passes = [request, *([hires_request(request, request.hires)] if request.hires else [])]
            counted = sum(SamplingConfig.of(walked, LEVELS[levels]).steps for walked in passes)
            assert planned_steps(request) == max(1, 2 * counted), (scheduler, steps)


def test_a_sampler_that_asks_twice_a_step_costs_twice_as_much_but_for_its_last_step():
    once, twice = (
        estimate(GenerationRequest(sampler=name, num_inference_steps=20), 1) for name in ("Euler", "Heun")
    )
    assert twice / once == Decimal(39) / 20


@pytest.mark.parametrize("sampler", [sampler.name for sampler in sampler_catalog.SAMPLERS])
@pytest.mark.parametrize("way", WAYS)
def test_a_job_that_ran_to_its_end_costs_what_was_reserved(sampler, way):
    request = GenerationRequest(sampler=sampler, num_images=3, **WAYS[way])
    reserved = estimate(request, 1.5)
    assert settled(reserved, request, planned_steps(request)) == reserved > 0


def test_each_pass_is_paid_for_at_its_own_size():
    request = GenerationRequest(
        width=64, height=64, num_inference_steps=10, hires=Hires(width=128, height=128, strength=0.5)
    )
    assert estimate(request, 1) == Decimal(10 * 64 * 64 + 10 * 128 * 128) / 1_000_000


def test_what_asks_the_model_nothing_costs_nothing():
    request = GenerationRequest(exact_steps=True, **FROM_A_PICTURE | {"strength": 0})
    assert (estimate(request, 1), settled(Decimal(0), request, 0)) == (0, 0)


def test_a_name_that_will_be_refused_still_has_a_price():
    assert estimate(GenerationRequest(sampler="bogus"), 1) == estimate(GenerationRequest(sampler="Euler"), 1)
