"""Samplers and schedules of flow-matching models, on a flow whose solution is known."""

import math

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from gpu_runner.protocol.families.flow_sampling import SAMPLERS, SCHEDULERS
from gpu_runner.protocol.request_parts.sampling import SigmaOverrides
from gpu_runner.protocol.schedules.ancestral import flow_ancestral_step
from gpu_runner.protocol.schedules.flow_levels import FlowLevels
from gpu_runner.protocol.schedules.sigmas import sigmas_for
from gpu_runner.samplers import FLOW_SAMPLERS, SamplerOptions
from gpu_runner.samplers.noise import NoiseStream

LEVELS = FlowLevels(3.0, "Normal")
SHAPE = (4, 32, 32)
DEVIATION = 0.5  # of the data, which are normal numbers around MEAN
MEAN = 0.3
STOCHASTIC = {
    "Euler a",
    "DPM2 a",
    "DPM++ 2S a",
    "DPM++ SDE",
    "DPM++ 2M SDE",
    "DPM++ 2M SDE Heun",
    "DPM++ 3M SDE",
    "LCM",
}


def posterior(x, t):
    """E[x0 | x_t] for normal data: the estimate of a perfect model."""
    variance = ((1 - t) * DEVIATION) ** 2 + t**2
    return MEAN + (1 - t) * DEVIATION**2 / variance * (x - (1 - t) * MEAN)


def solve(name, steps, *, scheduler="Normal", seed=1, eta=1.0):
    sigmas = sigmas_for(LEVELS, name, scheduler, steps)
    noise = NoiseStream(seed, SHAPE, torch.device("cpu"))
    start = noise.draw()
    options = SamplerOptions(eta=eta, schedule=tuple(sigmas))
    sampler = FLOW_SAMPLERS[name](start * sigmas[0], sigmas, noise, options)
    x, t = next(sampler)
    try:
        while True:
            x, t = sampler.send(posterior(x, t))
    except StopIteration as end:
        return start, end.value


def test_every_sampler_of_the_catalog_is_there():
    assert set(FLOW_SAMPLERS) == set(SAMPLERS)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in STOCHASTIC])
def test_solvers_reach_the_solution_of_the_flow(name):
    """The flow of normal data takes noise n to mean + deviation * n."""
    start, end = solve(name, 120)
    assert (end - (MEAN + DEVIATION * start)).square().mean().sqrt() < 0.015


@pytest.mark.parametrize("name", ["Euler a", "DPM2 a", "DPM++ 2S a", "DPM++ SDE", "DPM++ 3M SDE"])
def test_samplers_with_noise_keep_mean_and_deviation_of_the_data(name):
    _, end = solve(name, 120)
    assert abs(float(end.mean()) - MEAN) < 0.04
    assert abs(float(end.std()) - DEVIATION) < 0.04


@pytest.mark.parametrize("name", ["Euler a", "DPM2 a", "DPM++ 2S a", "DPM++ 2M SDE"])
def test_without_noise_they_are_solvers(name):
    start, end = solve(name, 120, eta=0.0)
    assert (end - (MEAN + DEVIATION * start)).square().mean().sqrt() < 0.015


def test_ancestral_step_keeps_the_deviation_of_the_noise():
    down, scale, up = flow_ancestral_step(0.8, 0.6, 1.0)
    assert down < 0.6
    assert math.hypot(down * scale, up) == pytest.approx(0.6)
    assert scale * (1 - down) == pytest.approx(0.4)
    assert flow_ancestral_step(0.8, 0.6, 0.0) == pytest.approx((0.6, 1.0, 0.0))


@pytest.mark.parametrize("steps", [4, 28])
def test_normal_is_the_schedule_of_diffusers(steps):
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(steps)
    assert sigmas_for(LEVELS, "Euler", "Automatic", steps) == pytest.approx(
        scheduler.sigmas.tolist(), abs=1e-6
    )


def test_sgm_uniform_with_a_shift_by_size_is_the_schedule_of_flux():
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    scheduler.set_timesteps(sigmas=torch.linspace(1, 1 / 6, 6).tolist(), mu=1.15)
    ours = sigmas_for(FlowLevels(math.exp(1.15), "Simple"), "Euler", "SGM Uniform", 6)
    assert ours == pytest.approx(scheduler.sigmas.tolist(), abs=1e-6)


@pytest.mark.parametrize("label", SCHEDULERS)
def test_schedules_lead_from_noise_to_the_image(label):
    times = LEVELS.schedule(label, 10, SigmaOverrides())
    assert len(times) == 11
    assert times[0] == pytest.approx(1)
    assert times[-1] == 0
    assert times == sorted(set(times), reverse=True)
