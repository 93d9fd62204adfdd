from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

from gpu_runner.protocol.request_parts.training import LoraTraining
from gpu_runner.protocol.schedules.alphas_cumprod import alphas_cumprod
from gpu_runner.training.denoisers.diffusion_objective import DiffusionObjective as Objective
from gpu_runner.training.trainer import rate_factor

TIMES = torch.tensor([0, 200, 500, 999])


@dataclass
class Checkpoint:
    prediction_type: str
    alphas_cumprod: torch.Tensor


def objective(prediction_type: str, gamma: float = 5.0) -> Objective:
    return Objective(Checkpoint(prediction_type, torch.from_numpy(alphas_cumprod())), gamma)  # type: ignore[arg-type]


@pytest.fixture
def scheduler() -> DDPMScheduler:
    return DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


def test_noised_latents_and_targets_are_those_of_diffusers(scheduler):
    latents, noise = torch.randn(2, 4, 4, 8, 8).unbind()
    ours = objective("v_prediction")
    assert torch.allclose(
        ours.noised(latents, noise, TIMES), scheduler.add_noise(latents, noise, TIMES), atol=1e-5
    )
    velocity = scheduler.get_velocity(latents, noise, TIMES)
    assert torch.allclose(ours.target(latents, noise, TIMES), velocity, atol=1e-5)
    assert objective("epsilon").target(latents, noise, TIMES) is noise


@pytest.mark.parametrize(("prediction_type", "extra"), [("epsilon", 0), ("v_prediction", 1)])
def test_errors_are_weighted_by_min_snr_as_in_diffusers_training_scripts(scheduler, prediction_type, extra):
    errors = torch.ones(1, 4, 8, 8)
    for time in TIMES:
        snr = compute_snr(scheduler, time[None])
        expected = snr.clamp(max=5.0) / (snr + extra)
        loss = objective(prediction_type).loss(errors, torch.zeros_like(errors), time[None])
        assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_without_gamma_every_timestep_counts_equally():
    errors = torch.full((4, 4, 8, 8), 2.0)
    assert objective("epsilon", 0).loss(errors, torch.zeros_like(errors), TIMES) == 4


def training(**fields: object) -> LoraTraining:
    image = {"image": {"sha256": "0" * 64}}
    return LoraTraining.model_validate({"images": [image], "steps": 100, **fields})


def test_learning_rate_warms_up_and_falls_to_zero():
    cosine = training(schedule="cosine", warmup_steps=10)
    assert [rate_factor(cosine, step) for step in (0, 9, 10, 55)] == pytest.approx([0.1, 1, 1, 0.5])
    assert rate_factor(cosine, 99) < 0.001
    assert rate_factor(training(schedule="linear"), 75) == pytest.approx(0.25)
    assert rate_factor(training(schedule="constant"), 99) == 1
