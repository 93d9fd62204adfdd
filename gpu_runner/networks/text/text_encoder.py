"""CLIP text encoding: prompts to UNet conditioning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPTextModel

from gpu_runner.networks.conditioning import Conditioning, TextEncodingOptions
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.protocol.prompt.tokenizer import clip_tokenizer

from . import emphasis
from .flow_conditioning import join_states
from .language_models import encode_messages
from .prompt_chunks import PLAIN, Chunk, chunks_of

CHUNKS_AT_ONCE = 64  # batch size limit; a prompt of maximum length has hundreds of chunks
CHUNKS_WORTH_KEEPING = 8


@torch.no_grad()
def encode(
    checkpoint: LoadedCheckpoint, prompts: Sequence[str], options: TextEncodingOptions = PLAIN
) -> list[Conditioning]:
    """Encode prompts to contexts of (77 * chunks, width).

    The results do not depend on the other prompts of the call. They are cached on the checkpoint: do not
    modify them in place.
    """
    known = {
        prompt: conditioning
        for prompt in prompts
        if (conditioning := checkpoint.encodings.get((options, prompt))) is not None
    }
    new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in known]
    for prompt, conditioning in zip(new, _encode_all(checkpoint, new, options), strict=True):
        known[prompt] = conditioning
        if len(conditioning.context) <= CHUNKS_WORTH_KEEPING * 77:
            checkpoint.encodings[options, prompt] = conditioning
    return [known[prompt] for prompt in prompts]


def _encode_all(
    checkpoint: LoadedCheckpoint, prompts: Sequence[str], options: TextEncodingOptions
) -> Iterator[Conditioning]:
    """Encode with every text encoder. Of diffusion models, the states are concatenated along the width."""
    if not prompts:
        return iter(())
    if checkpoint.facts.text[0].kind in ("qwen3_4b", "qwen2_5_vl_7b"):
        part = checkpoint.facts.text[0]
        return iter(encode_messages(checkpoint.text_encoder, part, prompts, options.images))
    kinds = checkpoint.text_kinds or [part.kind for part in checkpoint.facts.text]
    which = [place for place, kind in enumerate(kinds) if kind.startswith("clip")]
    readers = [
        _Reader(checkpoint, place, options) for place in which if place < len(checkpoint.text_encoders)
    ]
    states = zip(*(reader.read(prompts) for reader in readers), strict=True)
    if checkpoint.facts.flow is None:
        return map(_joined, states)
    clip = states if readers else repeat(())
    return (
        join_states(checkpoint, prompt, options, parts) for prompt, parts in zip(prompts, clip, strict=False)
    )


def _joined(parts: Sequence[tuple[Tensor, Tensor | None]]) -> Conditioning:
    # Clone: a cached view would keep the whole batch in memory.
    context = torch.cat([states for states, _pooled in parts], dim=-1).flatten(0, 1)
    pooled = parts[-1][1]
    return Conditioning(context.clone(), None if pooled is None else pooled.clone())


@dataclass(frozen=True)
class _Reader:
    """Runs one of the checkpoint's text encoders."""

    checkpoint: LoadedCheckpoint
    which: int
    options: TextEncodingOptions

    @property
    def encoder(self) -> Any:
        return self.checkpoint.text_encoders[self.which]

    def read(self, prompts: Sequence[str]) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Return, per prompt, the states of (chunks, 77, width) and the first chunk's pooled embedding."""
        padding = self.encoder.config.pad_token_id
        by_prompt = [chunks_of(prompt, clip_tokenizer(), self.options, padding) for prompt in prompts]
        chunks = [chunk for of_prompt in by_prompt for chunk in of_prompt]
        pieces = [chunks[begin : begin + CHUNKS_AT_ONCE] for begin in range(0, len(chunks), CHUNKS_AT_ONCE)]
        states, pooled = zip(*map(self._states_of, pieces), strict=True)
        lengths = [len(of_prompt) for of_prompt in by_prompt]
        wholes = [None] * len(chunks) if pooled[0] is None else torch.cat(pooled)
        firsts = [sum(lengths[:place]) for place in range(len(lengths))]
        return zip(torch.cat(states).split(lengths), (wholes[first] for first in firsts), strict=True)

    def _states_of(self, chunks: Sequence[Chunk]) -> tuple[Tensor, Tensor | None]:
        tokens = torch.tensor([chunk.tokens for chunk in chunks], device=self.encoder.device)
        weights = torch.tensor([chunk.weights for chunk in chunks], device=self.encoder.device)
        with learned_vectors(self.encoder, chunks, self.which):
            outputs = self.encoder(input_ids=tokens, output_hidden_states=True)
        states = self._hidden_states(outputs)
        return emphasis.MODES[self.options.emphasis](states, weights), self._pooled(outputs)

    def _pooled(self, outputs: Any) -> Tensor | None:
        """The projected state of the last token; of SD3's CLIP-L, the state before the projection."""
        projected: Tensor | None = getattr(outputs, "text_embeds", None)
        if projected is None and self.checkpoint.facts.flow is not None:
            return outputs.pooler_output
        return projected

    def _hidden_states(self, outputs: Any) -> Tensor:
        """Hidden states after the layer ``clip_skip`` from the end, with the final layer norm applied.

        ``clip_skip`` is limited to the number of layers. SDXL and SD3 ignore it: they were trained on the penultimate
        hidden states without the layer norm.
        """
        if self.checkpoint.facts.text[0].penultimate:
            return outputs.hidden_states[-2]
        if self.options.clip_skip == 1:
            return outputs.last_hidden_state
        layers = len(outputs.hidden_states) - 1  # the first entry is the input embeddings
        chosen = outputs.hidden_states[-min(self.options.clip_skip, layers)]
        return getattr(self.encoder, "text_model", self.encoder).final_layer_norm(chosen)


@dataclass(frozen=True)
class _Placed:
    """Embedding vectors and their position in a batch of chunks."""

    chunk: int
    begin: int
    vectors: Tensor

    def put_into(self, states: Tensor) -> None:
        states[self.chunk, self.begin : self.begin + len(self.vectors)] = self.vectors.to(states)


@contextmanager
def learned_vectors(encoder: CLIPTextModel, chunks: Sequence[Chunk], which: int = 0) -> Iterator[None]:
    """Context manager that inserts the chunks' textual inversion vectors into the encoder's input embeddings.

    ``which`` is the index of the text encoder.
    """
    placed = [
        _Placed(row, begin, embedding.vectors[which])
        for row, chunk in enumerate(chunks)
        for begin, embedding in chunk.embeddings.items()
    ]

    def put_in(_module: Any, _inputs: Any, states: Tensor) -> Tensor:
        states = states.clone()
        for vectors in placed:
            vectors.put_into(states)
        return states

    hook = encoder.get_input_embeddings().register_forward_hook(put_in) if placed else None
    try:
        yield
    finally:
        if hook:
            hook.remove()
