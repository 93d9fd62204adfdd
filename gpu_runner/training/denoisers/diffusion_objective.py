"""The training objective of a diffusion model: noise or velocity prediction with min-SNR weights."""

from __future__ import annotations

import torch
from torch import Tensor

from gpu_runner.networks.loaded import LoadedCheckpoint


class DiffusionObjective:
    """Noised latents, what the UNet has to predict for them, and the weight of each error."""

    def __init__(self, checkpoint: LoadedCheckpoint, min_snr_gamma: float) -> None:
        assert checkpoint.alphas_cumprod is not None
        self._alphas = checkpoint.alphas_cumprod.float().cpu()
        self._velocity = checkpoint.prediction_type == "v_prediction"
        self._gamma = min_snr_gamma

    def times(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randint(len(self._alphas), (count,), generator=generator)

    def noised(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Forward process: sqrt(a) x + sqrt(1 - a) noise, with a the cumulative product of alphas."""
        signal, spread = self._factors(times)
        return signal * latents + spread * noise

    def target(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """The noise, or the velocity sqrt(a) noise - sqrt(1 - a) x of Salimans and Ho 2022, appendix D."""
        if not self._velocity:
            return noise
        signal, spread = self._factors(times)
        return signal * noise - spread * latents

    def loss(self, predicted: Tensor, target: Tensor, times: Tensor) -> Tensor:
        """Mean square error, weighted by min(SNR, gamma) / SNR, for velocities / (SNR + 1): Hang et al. 2023, equation 5."""
        errors = (predicted.float() - target.float()).square().mean((1, 2, 3))
        return (errors * self._weights(times).to(errors.device)).mean()

    def _weights(self, times: Tensor) -> Tensor:
        if not self._gamma:
            return torch.ones(len(times))
        alphas = self._alphas[times.cpu()].clamp_min(1e-8)  # 0 with zero terminal SNR
        snr = alphas / (1 - alphas)
        return snr.clamp_max(self._gamma) / (snr + 1 if self._velocity else snr)

    def _factors(self, times: Tensor) -> tuple[Tensor, Tensor]:
        alphas = self._alphas[times.cpu()].to(times.device)[:, None, None, None]
        return alphas.sqrt(), (1 - alphas).sqrt()
