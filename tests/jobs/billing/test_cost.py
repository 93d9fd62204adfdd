"""Quote, reservation and settlement agree: all are computed from the number of model evaluations."""

from decimal import Decimal

import pytest

from gpu_runner.protocol import GenerationRequest, Hires, InputImage
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.families.cost import family_cost, relative_cost
from gpu_runner.protocol.families.flow_sampling import SAMPLERS
from gpu_runner.protocol.families.stable_diffusion import SD15, SDXL
from gpu_runner.protocol.families.transformers import SD3
from gpu_runner.protocol.schedules.alphas_cumprod import alphas_cumprod, with_zero_terminal_snr
from gpu_runner.protocol.schedules.flow_levels import FlowLevels
from gpu_runner.protocol.schedules.sigmas import NoiseLevels
from gpu_runner.protocol.step_count import hires_request
from gpu_runner.tasks.denoising_loop import SamplingConfig
from jobs.billing.cost import estimate, multiplier_of, planned_steps, settled

IMG2IMG = {"task": "img2img", "init_images": (InputImage(sha256="0" * 64),), "strength": 0.6}
REQUESTS = {
    "txt2img": {},
    "img2img": IMG2IMG,
    "img2img with exact steps": IMG2IMG | {"exact_steps": True},
    "hires": {"hires": Hires(width=768, height=768, sampler="DPM2 a", num_inference_steps=7)},
}
LEVELS = {
    "usual": NoiseLevels(alphas_cumprod()),
    "zero SNR": NoiseLevels(with_zero_terminal_snr(alphas_cumprod()), is_sdxl=True),
}


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("sampler", [sampler.name for sampler in sampler_catalog.SAMPLERS])
def test_planned_steps_equal_those_of_the_runner(sampler, name, levels):
    for scheduler in ("Automatic", "KL Optimal", "Karras"):
        for steps in (1, 20, 40):
            request = GenerationRequest(
                sampler=sampler,
                scheduler=scheduler,
                num_inference_steps=steps,
                num_images=2,
                **REQUESTS[name],
            )
            passes = [request, *([hires_request(request, request.hires)] if request.hires else [])]
            counted = sum(
                SamplingConfig.of(request_of_pass, LEVELS[levels]).steps for request_of_pass in passes
            )
            assert planned_steps(request) == max(1, 2 * counted), (scheduler, steps)


def test_second_order_sampler_costs_two_evaluations_per_step_except_the_last():
    once, twice = (
        estimate(GenerationRequest(sampler=name, num_inference_steps=20), 1) for name in ("Euler", "Heun")
    )
    assert twice / once == Decimal(39) / 20


@pytest.mark.parametrize("sampler", [sampler.name for sampler in sampler_catalog.SAMPLERS])
@pytest.mark.parametrize("name", REQUESTS)
def test_completed_job_costs_its_reservation(sampler, name):
    request = GenerationRequest(sampler=sampler, num_images=3, **REQUESTS[name])
    reserved = estimate(request, 1.5)
    assert settled(reserved, request, planned_steps(request)) == reserved > 0


def test_each_pass_is_billed_at_its_own_size():
    request = GenerationRequest(
        width=64, height=64, num_inference_steps=10, hires=Hires(width=128, height=128, strength=0.5)
    )
    assert estimate(request, 1) == Decimal(10 * 64 * 64 + 10 * 128 * 128) / 1_000_000


def test_job_without_model_evaluations_costs_nothing():
    request = GenerationRequest(exact_steps=True, **IMG2IMG | {"strength": 0})
    assert (estimate(request, 1), settled(Decimal(0), request, 0)) == (0, 0)


def test_unknown_sampler_is_priced_like_euler():
    assert estimate(GenerationRequest(sampler="bogus"), 1) == estimate(GenerationRequest(sampler="Euler"), 1)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", REQUESTS)
def test_planned_steps_equal_those_of_the_runner_with_a_flow_matching_model(sampler, name):
    levels = FlowLevels(3.0, "Simple")
    for scheduler in ("Automatic", "Normal", "Karras"):
        for steps in (1, 20, 28):
            request = GenerationRequest(
                sampler=sampler, scheduler=scheduler, num_inference_steps=steps, **REQUESTS[name]
            )
            if request.hires:
                hires = request.hires.model_copy(update={"sampler": sampler})
                request = request.model_copy(update={"hires": hires})
            passes = [request, *([hires_request(request, request.hires)] if request.hires else [])]
            counted = sum(SamplingConfig.of(each, levels, SD3.latents).steps for each in passes)
            assert planned_steps(request) == max(1, counted), (scheduler, steps)


def test_a_step_of_a_transformer_costs_what_it_computes():
    assert family_cost(SDXL) == family_cost(SD15) == 1
    assert relative_cost(860e6, 4096, 77) == pytest.approx(
        2.8, abs=0.1
    )  # a UNet is smaller at its lower levels
    assert family_cost(SD3) == 8.3
    assert multiplier_of(2, "sd3") == pytest.approx(16.6)
    assert multiplier_of(2, "unknown") == multiplier_of(2, "sdxl") == 2
