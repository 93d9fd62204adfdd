"""The training loop of a LoRA."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor

from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.protocol import GenerationRequest, LoraTraining

from . import state as states
from .adapters import Adapters
from .dataset import Example, batches, bucket_of, encode_images
from .denoisers.denoiser import Denoiser
from .denoisers.flow import FlowDenoiser
from .denoisers.unet import UNetDenoiser
from .samples import sample_grid

SAVE_EVERY_S = 30.0
MAX_GRADIENT_NORM = 1.0
LOSSES_AVERAGED = 20

OnStep = Callable[[int, float], None]  # steps done, mean loss of the latest steps


class Trainer:
    """Trains LoRA layers on one data set. ``folder`` keeps the state; a trainer with the same folder resumes from it.

    Every step draws its noise from a generator that is seeded with the request's seed and the step, so a resumed training
    continues as if it had not been interrupted. Raises InvalidImage.
    """

    def __init__(
        self,
        checkpoint: LoadedCheckpoint,
        request: GenerationRequest,
        files: Sequence[bytes],
        folder: Path,
        save_every_s: float = SAVE_EVERY_S,
        captions: Sequence[str] | None = None,
    ) -> None:
        """``captions``: of the images; None: those of the request."""
        assert request.training is not None
        self.checkpoint, self.request, self.training = checkpoint, request, request.training
        self._folder, self._save_every_s = folder, save_every_s
        pixels = request.width * request.height
        self._examples = encode_images(checkpoint, files, pixels, flip=self.training.flip)
        self.captions = list(self.training.captions() if captions is None else captions)
        trains_text = self.training.text_encoder_learning_rate > 0
        self.adapters = Adapters(
            checkpoint,
            rank=self.training.rank,
            alpha=self.training.alpha,
            text_encoders=trains_text,
            seed=request.seed % 2**63,
        )
        if self.training.gradient_checkpointing:
            checkpoint.unet.enable_gradient_checkpointing()
        self._denoiser = _denoiser(checkpoint, request, self.training)
        self._optimizer = _optimizer(self.adapters, self.training)
        self.state = states.load(folder)
        if self.state.step:
            self.adapters.load(self.state.adapters)
            self._optimizer.load_state_dict(self.state.optimizer)

    def run(self, on_step: OnStep, stopped: Callable[[], bool]) -> None:
        """Train until the last step, or until ``stopped`` returns True between two steps. Saves the state."""
        order = batches(self._examples, self.training.batch_size, self.request.seed)
        saved_at = time.monotonic()
        for batch in islice(order, self.state.step, self.training.steps):
            if stopped():
                break
            self.state.losses.append(self._step(batch))
            self.state.step += 1
            recent = self.state.losses[-LOSSES_AVERAGED:]
            on_step(self.state.step, sum(recent) / len(recent))
            if time.monotonic() - saved_at >= self._save_every_s:
                self.save()
                saved_at = time.monotonic()
        self.save()

    def save(self) -> None:
        self.state.adapters = self.adapters.state()
        self.state.optimizer = self._optimizer.state_dict()
        self.state.save(self._folder)

    def samples(self) -> Image:
        """A grid of samples of the model as it is now."""
        size = bucket_of((self.request.width, self.request.height), self.request.width * self.request.height)
        prompt = self.request.prompt or self.captions[0]
        self.checkpoint.unet.eval()
        return sample_grid(
            self.checkpoint, self._denoiser, prompt, size, self.training.samples, self.request.seed
        )

    def _step(self, batch: Sequence[Example]) -> float:
        """One optimizer step. Returns the loss."""
        self.checkpoint.unet.train()  # gradient checkpointing is off in eval mode; the UNet has no dropout
        _set_rates(self._optimizer, self.training, self.state.step)
        generator = torch.Generator().manual_seed((self.request.seed * 1_000_003 + self.state.step) % 2**63)
        latents = torch.stack([example.latent for example in batch])
        noise = torch.randn(latents.shape, generator=generator)
        objective = self._denoiser.objective
        times = objective.times(len(batch), generator)
        device = self.checkpoint.device
        noisy = objective.noised(latents, noise, times).to(device)
        target = objective.target(latents, noise, times).to(device)

        loss = self._loss([self.captions[example.index] for example in batch], noisy, times, target)
        if self.training.keeps_prior:
            captions = [self.training.class_prompt] * len(batch)
            with torch.no_grad(), self.adapters.disabled():
                prior = self.predict(captions, noisy, times)
            loss = loss + self.training.prior_weight * self._loss(captions, noisy, times, prior)
        loss.backward()
        parameters = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError("the loss is not finite: the learning rate is too high for this model")
        return value

    def predict(self, captions: list[str], noisy: Tensor, times: Tensor) -> Tensor:
        """Prediction (n, channels, h, w) of the model in training for noisy latents, one caption each."""
        return self._denoiser.predict(captions, noisy, times)

    def _loss(self, captions: list[str], noisy: Tensor, times: Tensor, target: Tensor) -> Tensor:
        return self._denoiser.objective.loss(self.predict(captions, noisy, times), target, times)


def _denoiser(checkpoint: LoadedCheckpoint, request: GenerationRequest, training: LoraTraining) -> Denoiser:
    if checkpoint.facts.flow is None:
        return UNetDenoiser(checkpoint, request, training)
    return FlowDenoiser(checkpoint, request)


def _optimizer(adapters: Adapters, training: LoraTraining) -> torch.optim.Optimizer:
    groups = [
        (adapters.unet_parameters(), training.learning_rate),
        (adapters.text_parameters(), training.text_encoder_learning_rate),
    ]
    return torch.optim.AdamW(
        [{"params": parameters, "lr": rate} for parameters, rate in groups if parameters]
    )


def _set_rates(optimizer: torch.optim.Optimizer, training: LoraTraining, step: int) -> None:
    factor = rate_factor(training, step)
    rates = [training.learning_rate, training.text_encoder_learning_rate]
    for group, rate in zip(optimizer.param_groups, rates, strict=False):
        group["lr"] = rate * factor


def rate_factor(training: LoraTraining, step: int) -> float:
    """Share of the learning rate at a step, from 0 to 1: a linear warm-up, then the schedule, which ends at 0."""
    if step < training.warmup_steps:
        return (step + 1) / training.warmup_steps
    done = (step - training.warmup_steps) / max(1, training.steps - training.warmup_steps)
    if training.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1 - done if training.schedule == "linear" else 1.0
