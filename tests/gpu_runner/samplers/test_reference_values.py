"""Samplers, against numbers that the original functions returned for the same model, noise and options.

The originals are k-diffusion's samplers, A1111's DDIM, PLMS and Restart, and the reference implementation of UniPC, run in
float64 on the noise of torch's CPU generator. A result is compared at three of its 256 values.
"""

import math

import pytest
import torch

from gpu_runner.networks.diffusion.guidance import GuidedAndUnguided
from gpu_runner.protocol import GenerationRequest, InputImage
from gpu_runner.protocol.request_parts.sampling import UniPC
from gpu_runner.protocol.schedules.alphas_cumprod import alphas_cumprod
from gpu_runner.protocol.schedules.sigmas import SCHEDULES, NoiseLevels, sigmas_for
from gpu_runner.samplers import SAMPLERS, SamplerOptions
from gpu_runner.samplers.noise import NoiseStream
from gpu_runner.tasks.denoising_loop import SamplingConfig

pytestmark = pytest.mark.slow

SHAPE = (4, 8, 8)
LEVELS = NoiseLevels(alphas_cumprod())
LATENT = torch.linspace(-1, 1, 256, dtype=torch.float64).reshape(SHAPE)


class CountedNoise(NoiseStream):
    """A noise stream that counts its draws."""

    draws = 0

    def draw(self):
        self.draws += 1
        return super().draw()


def noise_of(seed):
    return CountedNoise(seed, SHAPE, torch.device("cpu"))


def toy_denoised(x, sigma):
    """A smooth, nonlinear model of the variance-preserving latent."""
    latent = x / math.sqrt(1 + sigma**2)
    return x - sigma * (torch.tanh(1.5 * latent) + 0.1 * latent.roll(1, -1))


def sample(name, x, sigmas, noise, options):
    """Return the final x and the number of evaluations."""
    sampler, estimate, evaluated = SAMPLERS[name](x, sigmas, noise, options), None, 0
    try:
        while True:
            x, sigma = sampler.send(estimate) if evaluated else next(sampler)
            denoised, evaluated = toy_denoised(x, sigma), evaluated + 1
            estimate = GuidedAndUnguided(denoised, denoised) if name == "DDIM CFG++" else denoised
    except StopIteration as end:
        return end.value, evaluated


def sample_schedule(name, scheduler, steps, noise=None, **options):
    sigmas = sigmas_for(LEVELS, name, scheduler, steps)
    return sample(name, LATENT * sigmas[0], sigmas, noise or noise_of(7), SamplerOptions(**options))


def sample_request(**fields):
    """Run the pass of a request, for img2img from LATENT. Returns the final latent and the evaluations."""
    is_img2img = fields.get("task") == "img2img"
    if is_img2img:
        fields["init_images"] = (InputImage(sha256="0" * 64),)
    config = SamplingConfig.of(GenerationRequest(width=64, height=64, **fields), LEVELS)
    noise = noise_of(5)
    x = config.start(LATENT if is_img2img else None, noise).double()
    end, evaluated = sample(config.sampler, x, config.sigmas, noise, config.options)
    assert evaluated == config.steps or config.sampler == "DPM adaptive"
    return (end / math.sqrt(1 + config.sigmas[-1] ** 2) if config.variance_preserving else end), evaluated


def assert_has_values(result, values, tolerance=2e-5):
    assert result.flatten()[[0, 100, 200]].tolist() == pytest.approx(values, abs=tolerance)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("DPM fast", [-0.0466323, 1.7239586, -2.6838897]),
        ("DPM adaptive", [-0.0442823, 0.1889182, 0.2144818]),
    ],
)
def test_dpm_fast_and_adaptive_with_one_step_lead_from_the_highest_to_the_lowest_level(name, values):
    assert_has_values(sample_schedule(name, "Automatic", 1, eta=1.0)[0], values, tolerance=1e-4)


@pytest.mark.parametrize("task", ["txt2img", "img2img"])
def test_dpm_adaptive_ignores_the_number_of_steps(task):
    ends = [
        sample_request(task=task, sampler="DPM adaptive", num_inference_steps=steps, strength=1.0)[0]
        for steps in (1, 7)
    ]
    torch.testing.assert_close(ends[0], ends[1], atol=1e-9, rtol=0)


@pytest.mark.parametrize("scheduler", SCHEDULES)
@pytest.mark.parametrize(("steps", "restarts"), [(20, 1), (40, 2)])
def test_restart_draws_one_noise_per_restart_with_every_schedule(scheduler, steps, restarts):
    noise = noise_of(7)
    sample_schedule("Restart", scheduler, steps, noise)
    assert noise.draws == restarts


@pytest.mark.parametrize(
    ("scheduler", "steps", "values"),
    [
        ("Uniform", 20, [-0.3488872, 0.0938742, -3.5595712]),
        ("SGM Uniform", 20, [-0.3795338, 0.0795188, -2.5967030]),
        ("KL Optimal", 20, [-0.3708817, 0.0861379, -2.9969976]),
        ("Uniform", 40, [-0.0359308, -0.0299661, -0.2338013]),
        ("Karras", 40, [-0.0359308, -0.0299661, -0.2338013]),
        ("Beta", 40, [-0.0359308, -0.0299661, -0.2338013]),
    ],
)
def test_restart_equals_the_original(scheduler, steps, values):
    assert_has_values(sample_schedule("Restart", scheduler, steps)[0], values)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Euler", [1.1748168, -5.7180934, 0.1182804]),
        ("Heun", [1.2211273, -6.0245314, 0.2219224]),
        ("DPM2", [1.6861186, -5.7476171, 0.1486386]),
    ],
)
def test_churn_below_s_tmax_uses_the_noise_of_its_own_step(name, values):
    """A noise is drawn at the steps above s_tmax, too."""
    assert_has_values(sample_schedule(name, "Karras", 20, s_churn=8.0, s_tmax=9.0)[0], values)


def test_without_churn_no_noise_is_drawn():
    noise = noise_of(7)
    sample_schedule("Euler", "Karras", 20, noise, s_tmax=9.0)
    assert noise.draws == 0


@pytest.mark.parametrize(
    ("eta", "steps", "draws", "values"),
    [
        (1.05, 5, 3, [-0.3195584, 0.8322524, -0.8600464]),
        (1.1, 8, 6, [-0.2234151, 0.7844984, 0.0879360]),
        (1.2, 8, 2, [0.0023461, -0.0006491, 0.0012709]),
    ],
)
def test_dpm2_a_adds_no_noise_after_a_step_to_zero(eta, steps, draws, values):
    noise = noise_of(7)
    assert_has_values(sample_schedule("DPM2 a", "Karras", steps, noise, eta=eta)[0], values)
    assert noise.draws == draws


@pytest.mark.parametrize(
    ("steps", "evaluations", "options", "values"),
    [
        (30, 31, {}, [15.9560740, 0.5449438, 16.7559716]),
        (28, 29, {}, [15.9560681, 0.5451396, 16.7560457]),
        (12, 13, {}, [15.9538194, 0.5488014, 16.7586663]),
        (3, 4, {}, [15.8749510, 0.5615294, 16.8055064]),
        (20, 20, {}, [15.9557510, 0.5465514, 16.7567390]),
        (4, 4, {"order": 4}, [15.8749055, 0.5516014, 16.8157594]),
        (5, 5, {"order": 4}, [15.9637269, 0.5461475, 16.7805269]),
        (7, 8, {"order": 5, "variant": "vary_coeff"}, [15.8263916, 0.5751153, 16.7658103]),
    ],
)
def test_unipc_runs_the_steps_and_orders_of_the_original(steps, evaluations, options, values):
    """The original runs ``len(range(0, 1000, 1000 // steps))`` steps, and lowers the order at the end only."""
    result, evaluated = sample_request(sampler="UniPC", num_inference_steps=steps, unipc=UniPC(**options))
    assert evaluated == evaluations
    assert_has_values(result, values)


IMG2IMG = {"task": "img2img", "num_inference_steps": 20, "strength": 0.75}
LOW = {"strength": 0.3}
EXACT = {"exact_steps": True}
DISCARD = {"discard_penultimate": True}


@pytest.mark.parametrize(
    ("sampler", "options", "evaluations", "values"),
    [
        ("DDIM", {}, 14, [2.8113012, -0.1152648, 4.3959854]),
        ("DDIM CFG++", {}, 14, [2.8113012, -0.1152648, 4.3959854]),
        ("PLMS", {}, 15, [2.8191032, -0.1402775, 4.3949210]),
        ("UniPC", {}, 15, [2.8115004, -0.1287508, 4.3848447]),
        ("DDIM", LOW, 5, [0.2777657, -0.3645253, 1.5275173]),
        ("PLMS", LOW, 6, [0.2832136, -0.3798514, 1.5286478]),
        ("UniPC", LOW, 6, [0.2784998, -0.3681452, 1.5168413]),
        ("DDIM", EXACT, 18, [2.5386872, -0.1397519, 4.1661966]),
        ("PLMS", EXACT, 19, [2.5434169, -0.1589882, 4.1655071]),
        ("UniPC", EXACT, 19, [2.5355210, -0.1489354, 4.1552293]),
        ("DDIM", DISCARD, 14, [2.2574329, -0.1603941, 3.8348523]),
        ("UniPC", DISCARD, 15, [2.2533302, -0.1720158, 3.8237013]),
    ],
)
def test_img2img_on_own_timesteps_equals_the_original(sampler, options, evaluations, values):
    """The init latent is noised to one timestep above the first that is evaluated."""
    result, evaluated = sample_request(sampler=sampler, **IMG2IMG | options)
    assert evaluated == evaluations
    assert_has_values(result, values)


@pytest.mark.parametrize(
    ("skip_type", "values"),
    [
        ("time_quadratic", [1.3072289, -0.2658529, 2.8202632]),
        ("logSNR", [1.3072145, -0.2660182, 2.8203327]),
    ],
)
def test_img2img_with_the_skip_types_of_unipc_equals_the_original(skip_type, values):
    fields = IMG2IMG | {"strength": 0.6, "unipc": UniPC(skip_type=skip_type)}
    assert_has_values(sample_request(sampler="UniPC", **fields)[0], values)


@pytest.mark.parametrize("sampler", ["DDIM", "DDIM CFG++", "PLMS", "UniPC"])
@pytest.mark.parametrize("strength", [0.0, 0.05, 0.1])
def test_img2img_of_few_steps_returns_no_noise(sampler, strength):
    """With a model that knows the image. The original returns a noised image if one step is left of DDIM and PLMS."""
    fields = {"task": "img2img", "num_inference_steps": 20, "strength": strength}
    config = SamplingConfig.of(
        GenerationRequest(
            width=64, height=64, sampler=sampler, init_images=(InputImage(sha256="0" * 64),), **fields
        ),
        LEVELS,
    )
    sampler_run = SAMPLERS[sampler](
        config.start(LATENT, noise_of(5)), config.sigmas, noise_of(5), config.options
    )
    estimate = GuidedAndUnguided(LATENT, LATENT) if sampler == "DDIM CFG++" else LATENT
    try:
        next(sampler_run)
        while True:
            sampler_run.send(estimate)
    except StopIteration as end:
        result = end.value / math.sqrt(1 + config.sigmas[-1] ** 2)
    assert (result - LATENT).std() < 0.1


@pytest.mark.parametrize(
    ("sampler", "evaluations", "values"),
    [
        ("DDIM", 21, [14.7863315, 0.5062246, 15.7063111]),
        ("DDIM CFG++", 21, [14.7863315, 0.5062246, 15.7063111]),
        ("PLMS", 22, [14.8997133, 0.4844315, 15.6976850]),
        ("UniPC", 22, [15.9558998, 0.5461333, 16.7565042]),
    ],
)
def test_discarding_the_penultimate_sigma_adds_a_step_to_samplers_on_own_timesteps(
    sampler, evaluations, values
):
    result, evaluated = sample_request(sampler=sampler, num_inference_steps=20, discard_penultimate=True)
    assert evaluated == evaluations
    assert_has_values(result, values)
