"""The samplers against diffusers' schedulers on the same noise, and against a model whose exact solution is known."""

import math
from itertools import pairwise

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)

from gpu_runner.networks.diffusion.guidance import GuidedAndUnguided
from gpu_runner.protocol import sampler_catalog
from gpu_runner.protocol.generation_request import UniPC
from gpu_runner.protocol.schedules.ancestral import ancestral_split
from gpu_runner.protocol.schedules.restart import stretches
from gpu_runner.protocol.schedules.sigmas import NoiseLevels, sigmas_for
from gpu_runner.protocol.step_count import evaluations
from gpu_runner.samplers import SAMPLERS, SamplerOptions
from gpu_runner.samplers.noise import NoiseStream

LDM = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SHAPE = (4, 8, 8)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def levels():
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return NoiseLevels(torch.cumprod(1 - betas, 0))


def toy_noise(x):
    """What the toy model takes for the noise in a variance-preserving x: smooth, and not linear."""
    return torch.tanh(1.5 * x) + 0.1 * x.roll(1, -1)


def toy_denoised(x, sigma):
    return x - sigma * toy_noise(x / math.sqrt(1 + sigma**2))


def walk(name, x, sigmas, denoise=toy_denoised, eta=None, noise=None, **options):
    default = sampler_catalog.sampler(name).default_eta or 0.0
    options = SamplerOptions(eta=default if eta is None else eta, **options)
    sampler = SAMPLERS[name](x, sigmas, noise or NoiseStream(1, x.shape, CPU), options)
    denoised, asked = None, 0
    try:
        while True:
            x, sigma = sampler.send(denoised) if asked else next(sampler)
            denoised, asked = denoise(x, sigma), asked + 1
            if sampler_catalog.sampler(name).guided_apart:
                denoised = GuidedAndUnguided(denoised, denoised)
    except StopIteration as end:
        return end.value, asked


def diffusers_walk(scheduler, steps, noise, **options):
    scheduler.set_timesteps(steps)
    x = noise * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        x = scheduler.step(
            toy_noise(scheduler.scale_model_input(x, timestep)), timestep, x, **options
        ).prev_sample
    return x


def start(noise, sigma):
    """Where diffusers' samplers in sigma space and in the variance-preserving one begin."""
    return noise * math.sqrt(1 + sigma**2)


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [
        ("Euler", EulerDiscreteScheduler),
        ("Heun", HeunDiscreteScheduler),
    ],
)
def test_agrees_with_diffusers_in_sigma_space(levels, name, scheduler):
    noise, steps = torch.randn(SHAPE), 28
    reference = scheduler(**LDM, timestep_spacing="linspace")
    expected = diffusers_walk(reference, steps, noise)
    x = noise * float(reference.init_noise_sigma)
    drawn, _ = walk(name, x, sigmas_for(levels, name, "Uniform", steps))
    torch.testing.assert_close(drawn, expected, atol=1e-3, rtol=1e-3)


def test_dpm2_agrees_with_diffusers(levels):
    noise, steps = torch.randn(SHAPE), 20
    reference = KDPM2DiscreteScheduler(**LDM, use_karras_sigmas=True)
    expected = diffusers_walk(reference, steps, noise)
    sigmas = [*reference.sigmas[::2].tolist()]
    drawn, _ = walk("DPM2", noise * float(reference.init_noise_sigma), sigmas)
    torch.testing.assert_close(drawn, expected, atol=1e-3, rtol=1e-3)


def test_euler_a_agrees_with_diffusers_on_the_same_noise(levels):
    steps = 28
    reference = EulerAncestralDiscreteScheduler(**LDM, timestep_spacing="linspace")
    generator, stream = torch.Generator().manual_seed(5), NoiseStream(5, SHAPE, CPU)
    noise = torch.randn((1, *SHAPE), generator=generator)
    expected = diffusers_walk(reference, steps, noise, generator=generator)
    x = stream.draw() * float(reference.init_noise_sigma)
    drawn, _ = walk("Euler a", x, sigmas_for(levels, "Euler a", "Uniform", steps), noise=stream)
    torch.testing.assert_close(drawn, expected[0], atol=1e-3, rtol=1e-3)


def test_dpmpp_2m_agrees_with_diffusers(levels):
    noise, steps = torch.randn(SHAPE), 20
    reference = DPMSolverMultistepScheduler(**LDM, use_karras_sigmas=True, final_sigmas_type="zero")
    expected = diffusers_walk(reference, steps, noise)
    sigmas = sigmas_for(levels, "DPM++ 2M", "Automatic", steps)
    drawn, _ = walk("DPM++ 2M", start(noise, sigmas[0]), sigmas)
    torch.testing.assert_close(drawn, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_ddim_agrees_with_diffusers_up_to_its_last_update(levels, eta):
    """diffusers goes one update further than A1111, to the first training level: stop it before that."""
    steps = 20
    reference = DDIMScheduler(
        **LDM, timestep_spacing="leading", steps_offset=1, set_alpha_to_one=False, clip_sample=False
    )
    reference.set_timesteps(steps)
    generator, stream = torch.Generator().manual_seed(5), NoiseStream(5, SHAPE, CPU)
    expected = torch.randn((1, *SHAPE), generator=generator)
    for timestep in reference.timesteps[:-1]:
        estimate = toy_noise(expected)
        expected = reference.step(estimate, timestep, expected, eta=eta, generator=generator).prev_sample
    sigmas = sigmas_for(levels, "DDIM", "Automatic", steps)
    drawn, _ = walk("DDIM", start(stream.draw(), sigmas[0]), sigmas, eta=eta, noise=stream)
    torch.testing.assert_close(drawn / math.sqrt(1 + sigmas[-1] ** 2), expected[0], atol=1e-3, rtol=1e-3)


def test_unipc_agrees_with_diffusers(levels):
    noise, steps = torch.randn(SHAPE), 27
    reference = UniPCMultistepScheduler(
        **LDM, solver_order=3, solver_type="bh1", timestep_spacing="linspace", final_sigmas_type="sigma_min"
    )
    expected = diffusers_walk(reference, steps, noise[None])[0]
    sigmas = sigmas_for(levels, "UniPC", "Automatic", steps)
    drawn, _ = walk("UniPC", start(noise, sigmas[0]), sigmas)
    torch.testing.assert_close(drawn / math.sqrt(1 + sigmas[-1] ** 2), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("name", "solver"), [("DPM++ 2M SDE", "midpoint"), ("DPM++ 2M SDE Heun", "heun")])
def test_the_multistep_sde_ones_agree_with_diffusers_on_the_same_noise(levels, name, solver):
    """diffusers draws each step's noise from a generator: give it the path's."""
    steps, start_noise = 20, torch.randn(SHAPE)
    reference = DPMSolverMultistepScheduler(
        **LDM,
        algorithm_type="sde-dpmsolver++",
        solver_type=solver,
        use_karras_sigmas=True,
        final_sigmas_type="zero",
    )
    reference.set_timesteps(steps)
    sigmas = [float(sigma) for sigma in reference.sigmas]
    path = NoiseStream(5, SHAPE, CPU).brownian(sigmas)
    x = start_noise
    for index, timestep in enumerate(reference.timesteps):
        end = sigmas[index + 1]
        unit = path.between(sigmas[index], end) if end > 0 else torch.zeros(SHAPE)
        x = reference.step(toy_noise(x), timestep, x, variance_noise=unit).prev_sample
    drawn, _ = walk(name, start(start_noise, sigmas[0]), sigmas, noise=NoiseStream(5, SHAPE, CPU))
    torch.testing.assert_close(drawn, x, atol=2e-3, rtol=2e-3)


def test_dpmpp_3m_sde_without_noise_agrees_with_diffusers(levels):
    """With noise, diffusers' third-order term has another sign than k-diffusion's and the paper's.

    Its second step, which knows one earlier evaluation only, is k-diffusion's with the solver type "heun".
    """
    noise, steps = torch.randn(SHAPE), 20
    options = {"solver_order": 3, "use_karras_sigmas": True, "final_sigmas_type": "zero"}
    reference = DPMSolverMultistepScheduler(**LDM, **options, solver_type="heun")
    expected = diffusers_walk(reference, steps, noise)
    sigmas = reference.sigmas.tolist()
    drawn, _ = walk("DPM++ 3M SDE", start(noise, sigmas[0]), sigmas, eta=0.0)
    torch.testing.assert_close(drawn, expected, atol=1e-4, rtol=1e-4)


def test_plms_agrees_with_diffusers_up_to_its_last_update(levels):
    steps, noise = 20, torch.randn(SHAPE)
    reference = PNDMScheduler(
        **LDM, skip_prk_steps=True, steps_offset=1, timestep_spacing="leading", set_alpha_to_one=False
    )
    reference.set_timesteps(steps)
    expected = noise
    for timestep in reference.timesteps[:-1]:
        expected = reference.step(toy_noise(expected), timestep, expected).prev_sample
    sigmas = sigmas_for(levels, "PLMS", "Automatic", steps)
    drawn, _ = walk("PLMS", start(noise, sigmas[0]), sigmas)
    torch.testing.assert_close(drawn / math.sqrt(1 + sigmas[-1] ** 2), expected, atol=1e-3, rtol=1e-3)


def test_lcm_agrees_with_diffusers_on_the_same_noise(levels):
    reference = LCMScheduler(**LDM, original_inference_steps=50, clip_sample=False)
    reference.set_timesteps(4)
    generator, stream = torch.Generator().manual_seed(5), NoiseStream(5, SHAPE, CPU)
    expected = torch.randn((1, *SHAPE), generator=generator)
    for timestep in reference.timesteps:
        expected = reference.step(
            toy_noise(expected), timestep, expected, generator=generator, return_dict=False
        )[0]
    sigmas = [*levels.sigmas_at([float(timestep) for timestep in reference.timesteps]), 0.0]
    drawn, _ = walk("LCM", start(stream.draw(), sigmas[0]), sigmas, noise=stream)
    torch.testing.assert_close(drawn, expected[0], atol=2e-3, rtol=2e-3)


def test_cfgpp_goes_to_the_guided_estimate_along_the_noise_of_the_other():
    sampler = SAMPLERS["DDIM CFG++"](torch.ones(SHAPE), [4.0, 2.0], None, SamplerOptions())
    next(sampler)
    with pytest.raises(StopIteration) as end:
        sampler.send(GuidedAndUnguided(torch.full(SHAPE, 0.5), torch.full(SHAPE, -1.0)))
    torch.testing.assert_close(end.value.value, torch.full(SHAPE, 0.5 + (1 + 1) / 4 * 2))


SPREAD = 0.5
STOCHASTIC = [
    sampler.name
    for sampler in sampler_catalog.SAMPLERS
    if sampler.brownian or sampler.ancestral or sampler.name == "Restart"
]


def spread_denoised(x, sigma):
    """Exact where the data are normal with mean 1 and standard deviation SPREAD."""
    return (1.0 * sigma**2 + x * SPREAD**2) / (SPREAD**2 + sigma**2)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_the_stochastic_ones_end_in_the_data_they_are_told_of(levels, name):
    """Mean and spread of many numbers, each walked from its own noise with its own fresh noise."""
    shape = (4, 48, 48)
    sigmas = sigmas_for(levels, name, "Automatic", 60)
    stream = NoiseStream(3, shape, CPU)
    drawn, _ = walk(name, stream.draw() * sigmas[0], sigmas, spread_denoised, noise=stream)
    assert drawn.mean() == pytest.approx(1, abs=0.06)
    assert drawn.std() == pytest.approx(SPREAD, abs=0.06)


@pytest.mark.parametrize("name", ["Euler", "Heun", "DPM2"])
def test_churn_keeps_the_data_and_changes_the_way(levels, name):
    shape = (4, 48, 48)
    sigmas = sigmas_for(levels, name, "Karras", 100)

    def drawn(**options):
        stream = NoiseStream(3, shape, CPU)
        return walk(name, stream.draw() * sigmas[0], sigmas, spread_denoised, noise=stream, **options)[0]

    churned, usual = drawn(s_churn=20.0), drawn()
    assert (churned - usual).abs().mean() > 0.1
    assert churned.std() == pytest.approx(SPREAD, abs=0.06)
    assert torch.equal(drawn(s_churn=20.0, s_tmin=100.0), usual)
    assert torch.equal(drawn(s_churn=20.0, s_tmax=0.001), usual)


@pytest.mark.parametrize("name", ["DPM++ SDE", "DPM++ 2M SDE", "DPM2 a"])
def test_less_noise_on_the_way_leaves_less_spread(levels, name):
    sigmas = sigmas_for(levels, name, "Automatic", 40)
    ends = [
        walk(name, torch.zeros(4, 32, 32), sigmas, spread_denoised, s_noise=s_noise)[0].std()
        for s_noise in (0.5, 1.0)
    ]
    assert ends[0] < ends[1]


def test_the_adaptive_one_is_as_exact_as_it_promises_and_no_estimate_holds_it_for_ever():
    sigmas = [10.0, 0.1, 0.0]
    x = torch.linspace(-20, 20, 11, dtype=torch.float64)
    exact = 0.5 + (x - 0.5) * math.sqrt((1 + 0.01) / (1 + 100))
    drawn, asked = walk("DPM adaptive", x, sigmas, gaussian_denoised, eta=0.0)
    assert (drawn - exact).abs().max() < 0.1  # a twentieth of the largest
    assert 6 <= asked <= 60
    _, asked = walk("DPM adaptive", x, sigmas, lambda x, sigma: x * math.nan, eta=1.0)
    assert asked < 1000


def test_restart_goes_back_up_with_as_many_steps_as_it_takes_from_the_others(levels):
    sigmas = sigmas_for(levels, "Restart", "Automatic", 20)
    steps = stretches(sigmas)
    rises = [(low, high) for (_, low), (high, _) in pairwise(steps) if high > low]
    assert len(steps) == 20
    assert [low < 0.2 and 1 < high < 3 for low, high in rises] == [True]
    assert (
        len(
            [
                1
                for (_, low), (high, _) in pairwise(stretches(sigmas_for(levels, "Restart", "Automatic", 40)))
                if high > low
            ]
        )
        == 2
    )


@pytest.mark.parametrize(
    "options",
    [{"variant": "bh2"}, {"variant": "vary_coeff"}, {"order": 2}, {"order": 1}, {"lower_order_final": False}],
)
def test_unipc_in_its_other_ways_still_converges(options):
    def off(steps):
        sigmas = torch.logspace(1, -1, steps + 1, dtype=torch.float64).tolist()
        x = torch.linspace(-20, 20, 11, dtype=torch.float64)
        exact = 0.5 + (x - 0.5) * math.sqrt((1 + sigmas[-1] ** 2) / (1 + sigmas[0] ** 2))
        drawn, _ = walk("UniPC", x, sigmas, gaussian_denoised, unipc=UniPC(**options))
        return (drawn - exact).abs().max().item()

    assert off(40) / off(80) > 3.4


def gaussian_denoised(x, sigma):
    """Exact where the data are normal with mean 0.5 and variance 1: the probability flow has a closed solution."""
    return 0.5 + (x - 0.5) / (1 + sigma**2)


def error(name, steps):
    sigmas = torch.logspace(1, -1, steps + 1, dtype=torch.float64).tolist()
    x = torch.linspace(-20, 20, 11, dtype=torch.float64)
    exact = 0.5 + (x - 0.5) * math.sqrt((1 + sigmas[-1] ** 2) / (1 + sigmas[0] ** 2))
    drawn, _ = walk(name, x, sigmas, gaussian_denoised, eta=0.0)
    return (drawn - exact).abs().max().item()


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("Euler", 1),
        ("Euler a", 1),
        ("DDIM", 1),
        ("Heun", 2),
        ("DPM2", 2),
        ("DPM2 a", 2),
        ("DPM++ 2S a", 2),
        ("DPM++ 2M", 2),
        ("UniPC", 2),
        ("LMS", 2),
        ("DPM++ SDE", 2),
        ("DPM++ 2M SDE", 2),
        ("DPM++ 2M SDE Heun", 2),
        ("DPM++ 3M SDE", 2),  # as published: its last term is half of what the third order needs
        ("DPM fast", 3),
        ("DDIM CFG++", 1),
        ("PLMS", 2),
    ],
)
def test_twice_the_steps_divide_the_error_as_the_order_promises(name, order):
    assert error(name, 40) / error(name, 80) > 2**order * 0.85


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 3, 20, 40])
def test_every_sampler_asks_as_often_as_announced(levels, name, steps):
    sigmas = sigmas_for(levels, name, "Automatic", steps)
    eta = sampler_catalog.sampler(name).default_eta or 0.0
    drawn, asked = walk(name, torch.randn(SHAPE) * sigmas[0], sigmas)
    assert asked == evaluations(name, sigmas, eta) or sampler_catalog.sampler(name).approximate
    assert drawn.isfinite().all()


@pytest.mark.parametrize("name", ["Euler a", "DPM2 a", "DPM++ 2S a", "DPM++ SDE", "DPM fast", "DDIM"])
def test_a_huge_eta_is_still_a_walk(levels, name):
    sigmas = sigmas_for(levels, name, "Automatic", 10)
    drawn, asked = walk(name, torch.randn(SHAPE) * sigmas[0], sigmas, eta=1.0 if name == "DDIM" else 10.0)
    assert drawn.isfinite().all()
    assert asked == evaluations(name, sigmas, 10.0)


def test_ancestral_parts_add_up():
    down, up = ancestral_split(5.0, 3.0, 0.8)
    assert down**2 + up**2 == pytest.approx(9.0)


def test_an_ancestral_picture_comes_from_its_own_stream_alone(levels):
    sigmas = sigmas_for(levels, "Euler a", "Automatic", 5)

    def drawn(seed):
        stream = NoiseStream(seed, SHAPE, CPU)
        return walk("Euler a", stream.draw() * sigmas[0], sigmas, noise=stream)[0]

    assert torch.equal(drawn(3), drawn(3))
    assert not torch.equal(drawn(3), drawn(4))
