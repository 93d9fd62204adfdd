"""Stable Diffusion's UNets in training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.protocol import GenerationRequest, LoraTraining

from .denoiser import SAMPLE_STEPS
from .diffusion_objective import DiffusionObjective
from .prompts import Prompts

LATENT_SCALE = 8
GUIDANCE_SCALE = 7.0


class UNetDenoiser:
    """A UNet with its CLIP text encoders."""

    def __init__(
        self, checkpoint: LoadedCheckpoint, request: GenerationRequest, training: LoraTraining
    ) -> None:
        self._checkpoint = checkpoint
        trained = training.text_encoder_learning_rate > 0
        self._prompts = Prompts(checkpoint, trained=trained, clip_skip=request.clip_skip)
        self.objective = DiffusionObjective(checkpoint, training.min_snr_gamma)

    def predict(self, captions: Sequence[str], noisy: Tensor, times: Tensor) -> Tensor:
        context, pooled = self._prompts.encode(captions)
        return self._predict(noisy, times.to(noisy.device), context, pooled)

    @torch.no_grad()
    def draw(self, prompt: str, size: tuple[int, int], seed: int) -> Tensor:
        """With DDIM: Song et al. 2020, equation 12, without noise."""
        context, pooled = self._prompts.encode(["", prompt])
        width, height = size
        generator = torch.Generator().manual_seed(seed % 2**64)
        x = torch.randn(1, 4, height // LATENT_SCALE, width // LATENT_SCALE, generator=generator)
        x = x.to(self._checkpoint.device)
        assert self._checkpoint.alphas_cumprod is not None
        alphas = self._checkpoint.alphas_cumprod.float()
        times = torch.linspace(len(alphas) - 1, 0, SAMPLE_STEPS).round().long()
        for at, following in zip(times, [*times[1:], None], strict=True):
            both = self._predict(x.expand(2, -1, -1, -1), at.expand(2).to(x.device), context, pooled).float()
            guided = both[0] + GUIDANCE_SCALE * (both[1] - both[0])
            alpha = alphas[at]
            if self._checkpoint.prediction_type == "v_prediction":
                denoised = alpha.sqrt() * x - (1 - alpha).sqrt() * guided
                noise = alpha.sqrt() * guided + (1 - alpha).sqrt() * x
            else:
                noise = guided[None]
                denoised = (x - (1 - alpha).sqrt() * noise) / alpha.sqrt()
            alpha = torch.tensor(1.0) if following is None else alphas[following]
            x = alpha.sqrt() * denoised + (1 - alpha).sqrt() * noise
        return x[0]

    def _predict(self, noisy: Tensor, times: Tensor, context: Tensor, pooled: Tensor | None) -> Tensor:
        """SDXL is told that the image has its full size and no crop."""
        added = None
        if pooled is not None:
            height, width = (side * LATENT_SCALE for side in noisy.shape[-2:])
            time_ids = torch.tensor([[height, width, 0, 0, height, width]], device=noisy.device)
            added = {"text_embeds": pooled, "time_ids": time_ids.expand(len(noisy), -1).to(pooled.dtype)}
        dtype = self._checkpoint.dtype
        with torch.autocast(noisy.device.type, dtype, enabled=dtype != torch.float32):
            return self._checkpoint.unet(noisy, times, context, added_cond_kwargs=added, return_dict=False)[0]
