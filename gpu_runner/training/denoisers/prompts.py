"""Captions as the UNet's conditioning, with gradients where the text encoders are trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.text.prompt_chunks import CHUNK_LENGTH
from gpu_runner.protocol.prompt.tokenizer import BOS_ID, EOS_ID, clip_tokenizer


class Prompts:
    """Encodes captions literally, without weights and BREAK, and cut off after 75 tokens, as kohya's scripts do.

    Without ``trained``, each caption is encoded once. ``clip_skip`` is that of the request; SDXL ignores it.
    """

    def __init__(self, checkpoint: LoadedCheckpoint, *, trained: bool, clip_skip: int = 1) -> None:
        self._checkpoint, self._clip_skip = checkpoint, clip_skip
        self._trained = trained
        self._known: dict[str, tuple[Tensor, Tensor | None]] = {}

    def encode(self, captions: Sequence[str]) -> tuple[Tensor, Tensor | None]:
        """Contexts (n, 77, width), and for SDXL the pooled embeddings (n, width)."""
        if self._trained:
            return self._encode(captions)
        with torch.no_grad():
            for caption in captions:
                if caption not in self._known:
                    context, pooled = self._encode([caption])
                    self._known[caption] = context[0], None if pooled is None else pooled[0]
        rows = [self._known[caption] for caption in captions]
        pooled_rows = [pooled for _context, pooled in rows if pooled is not None]
        return torch.stack([context for context, _ in rows]), torch.stack(
            pooled_rows
        ) if pooled_rows else None

    def _encode(self, captions: Sequence[str]) -> tuple[Tensor, Tensor | None]:
        encoders = self._checkpoint.text_encoders
        outputs = [self._outputs(encoder, captions) for encoder in encoders]
        pooled = getattr(outputs[-1], "text_embeds", None) if self._checkpoint.is_sdxl else None
        states = [self._states(encoder, output) for encoder, output in zip(encoders, outputs, strict=True)]
        return torch.cat(states, -1), pooled

    def _outputs(self, encoder: Any, captions: Sequence[str]) -> Any:
        ids = torch.tensor([token_ids(caption, encoder.config.pad_token_id) for caption in captions])
        return encoder(input_ids=ids.to(encoder.device), output_hidden_states=True)

    def _states(self, encoder: Any, output: Any) -> Tensor:
        if self._checkpoint.is_sdxl:
            return output.hidden_states[-2]
        if self._clip_skip == 1:
            return output.last_hidden_state
        layers = len(output.hidden_states) - 1
        return getattr(encoder, "text_model", encoder).final_layer_norm(
            output.hidden_states[-min(self._clip_skip, layers)]
        )


def token_ids(caption: str, padding: int) -> list[int]:
    tokens = clip_tokenizer().encode(caption)[:CHUNK_LENGTH]
    return [BOS_ID, *tokens, EOS_ID, *[padding] * (CHUNK_LENGTH - len(tokens))]
