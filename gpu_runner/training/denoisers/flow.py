"""Transformers of flow-matching families in training."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from gpu_runner.networks.conditioning import Conditioning, TextEncodingOptions
from gpu_runner.networks.flow.velocities import VELOCITIES, Rows
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.text.text_encoder import encode
from gpu_runner.protocol import GenerationRequest

from .denoiser import SAMPLE_STEPS
from .flow_objective import FlowObjective, shifted

LITERAL = TextEncodingOptions(emphasis="None")  # captions have no weights


class FlowDenoiser:
    """A transformer with its text encoders, which are not trained. Each caption is encoded once."""

    def __init__(self, checkpoint: LoadedCheckpoint, request: GenerationRequest) -> None:
        flow = checkpoint.facts.flow
        assert flow is not None
        self._checkpoint = checkpoint
        tokens = checkpoint.facts.latents.tokens(request.width, request.height)
        self._shift = flow.shift.of(tokens, request.num_inference_steps)
        self._known: dict[str, Conditioning] = {}
        self.objective = FlowObjective(self._shift)

    def predict(self, captions: Sequence[str], noisy: Tensor, times: Tensor) -> Tensor:
        """The velocity, noise - image."""
        dtype = self._checkpoint.dtype
        rows = Rows(noisy.to(dtype), times.to(noisy.device).float(), [self._text(one) for one in captions])
        with torch.autocast(noisy.device.type, dtype, enabled=dtype != torch.float32):
            return VELOCITIES[self._checkpoint.family](self._checkpoint.unet, rows)

    @torch.no_grad()
    def draw(self, prompt: str, size: tuple[int, int], seed: int) -> Tensor:
        """With Euler's method, from noise at time 1 to the image at time 0."""
        facts = self._checkpoint.facts
        generator = torch.Generator().manual_seed(seed % 2**64)
        x = torch.randn(1, *facts.latents.shape(*size), generator=generator).to(self._checkpoint.device)
        guides = facts.guidance == "classifier_free" and facts.defaults.guidance > 1
        texts = ["", prompt] if guides else [prompt]
        for time, following in pairwise(shifted(torch.linspace(1, 0, SAMPLE_STEPS + 1), self._shift)):
            velocities = self.predict(
                texts, x.expand(len(texts), -1, -1, -1), time.expand(len(texts))
            ).float()
            velocity = velocities[-1:]
            if guides:
                velocity = velocities[:1] + facts.defaults.guidance * (velocity - velocities[:1])
            x = x + (following - time) * velocity
        return x[0]

    def _text(self, caption: str) -> Conditioning:
        """Of a family whose prompts are padded, the first window: all texts of a call have one length."""
        if caption not in self._known:
            [text] = encode(self._checkpoint, [caption], LITERAL)
            if (first := self._checkpoint.facts.text[0]).padded:
                text = Conditioning(text.context[: first.tokens].clone(), text.pooled)
            self._known[caption] = text
        return self._known[caption]
