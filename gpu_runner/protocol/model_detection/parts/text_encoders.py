"""Text encoders in files of their own and inside checkpoints: kind, prefix and width, from the tensors. No torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gpu_runner.protocol.model_detection.storage.tensor_header import Shape

Shapes = Mapping[str, Shape]
# Kinds that a family of the engine may use; others are named only.
LABELS = {
    "clip_l": "CLIP-L",
    "clip_g": "CLIP-G",
    "clip_h": "CLIP-H",
    "t5_xxl": "T5-XXL",
    "umt5": "UMT5-XXL",
    "qwen3_4b": "Qwen3-4B",
    "qwen2_5_vl_7b": "Qwen2.5-VL-7B",
}
NAMED = {
    "t5_small": "a small T5",
    "t5_1_0": "a T5 of version 1.0",
    "qwen3_other": "a Qwen3 of another size than 4B",
    "qwen3_vl": "Qwen3-VL",
    "qwen2_5_vl_3b": "Qwen2.5-VL-3B",
    "gemma": "a Gemma",
    "llama": "a Llama or Mistral",
}


@dataclass(frozen=True)
class FoundEncoder:
    """``blocks``: the start of the names of its layers, without the number. ``required``: other tensors that it needs.

    ``vision``: the prefix of the part that reads images; empty if there is none, or no whole one.
    """

    kind: str
    prefix: str
    width: int
    blocks: str
    required: tuple[str, ...]
    vision: str = ""

    @property
    def is_supported(self) -> bool:
        return self.kind in LABELS

    def missing(self, shapes: Shapes) -> str:
        """Name of a tensor that the file lacks, or empty. The layers must have the tensors of the first one."""
        layers: dict[str, set[str]] = {}
        pattern = re.compile(rf"{re.escape(self.blocks)}(\d{{1,4}})\.(.+)")
        for name in shapes:
            if found := pattern.match(name):
                layers.setdefault(found[1], set()).add(found[2])
        first = layers.get("0", set())
        for number in range(len(layers)):
            wanted = first - FIRST_LAYER_ONLY
            if absent := sorted(wanted - layers.get(str(number), set())):
                return f"{self.blocks}{number}.{absent[0]}"
        return next((name for name in self.required if name not in shapes), "")


# T5 has one table of relative positions for all layers, in the first one.
FIRST_LAYER_ONLY = {"layer.0.SelfAttention.relative_attention_bias.weight"}


def find_text_encoders(shapes: Shapes) -> list[FoundEncoder]:
    """All text encoders of a file, at most one of each architecture and prefix."""
    return [encoder for find in FINDERS for encoder in find(shapes)]


def _prefixes(shapes: Shapes, mark: str) -> Iterator[re.Match[str]]:
    pattern = re.compile(rf"(?P<prefix>(?:[^.]+\.)*?){mark}")
    yield from (found for name in shapes if (found := pattern.fullmatch(name)))


def _clip(shapes: Shapes) -> Iterator[FoundEncoder]:
    """CLIP in the names of transformers."""
    for found in _prefixes(shapes, r"(?P<inner>text_model\.)?encoder\.layers\.0\.mlp\.fc1\.weight"):
        start = found["prefix"] + (found["inner"] or "")
        table = shapes.get(f"{start}embeddings.token_embedding.weight", ())
        if len(table) == 2:
            required = (f"{start}embeddings.position_embedding.weight", f"{start}final_layer_norm.weight")
            yield FoundEncoder(
                _clip_kind(table[1]), found["prefix"], table[1], f"{start}encoder.layers.", required
            )


def _open_clip(shapes: Shapes) -> Iterator[FoundEncoder]:
    for found in _prefixes(shapes, r"transformer\.resblocks\.0\.mlp\.c_fc\.weight"):
        start = found["prefix"]
        table = shapes.get(f"{start}token_embedding.weight", ())
        if len(table) == 2:
            required = (f"{start}positional_embedding", f"{start}ln_final.weight")
            yield FoundEncoder(
                _clip_kind(table[1]), start, table[1], f"{start}transformer.resblocks.", required
            )


def _clip_kind(width: int) -> str:
    return {1280: "clip_g", 1024: "clip_h"}.get(width, "clip_l")


def _t5(shapes: Shapes) -> Iterator[FoundEncoder]:
    for found in _prefixes(shapes, r"encoder\.block\.0\.layer\.0\.SelfAttention\.q\.weight"):
        start, shape = found["prefix"], shapes[found[0]]
        if len(shape) != 2:
            continue
        block = f"{start}encoder.block."
        if f"{block}0.layer.1.DenseReluDense.wi_0.weight" not in shapes:
            kind = "t5_1_0"
        elif f"{block}1.layer.0.SelfAttention.relative_attention_bias.weight" in shapes:
            kind = "umt5"
        else:
            kind = "t5_small" if shape[1] in (512, 768, 1024, 2048) else "t5_xxl"
        table = f"{start}shared.weight"
        if table not in shapes:
            table = f"{start}encoder.embed_tokens.weight"
        yield FoundEncoder(kind, start, shape[1], block, (table, f"{start}encoder.final_layer_norm.weight"))


INNER = r"(?P<inner>model\.language_model\.|language_model\.model\.|language_model\.|model\.)?"


def _decoders(shapes: Shapes) -> Iterator[FoundEncoder]:
    """Language models whose hidden states serve as conditioning."""
    for found in _prefixes(shapes, rf"{INNER}layers\.0\.self_attn\.q_proj\.weight"):
        start, shape = found["prefix"] + (found["inner"] or ""), shapes[found[0]]
        table = shapes.get(f"{start}embed_tokens.weight", ())
        if len(shape) != 2 or len(table) != 2:
            continue
        visual = (f"{found['prefix']}visual.", f"{found['prefix']}model.visual.")
        has_vision = any(name.startswith(visual) for name in shapes)
        vision = next((one for one in visual if _is_whole_vision_part(shapes, one)), "")
        layer = f"{start}layers.0."
        if f"{layer}pre_feedforward_layernorm.weight" in shapes:
            kind = "gemma"
        elif f"{layer}self_attn.q_norm.weight" in shapes:
            other = "qwen3_other" if shape[1] in (1024, 2048, 4096, 5120) else "qwen3_4b"
            kind = "qwen3_vl" if has_vision else other
        elif f"{layer}self_attn.q_proj.bias" in shapes:
            kind = "qwen2_5_vl_3b" if shape[1] == 2048 else "qwen2_5_vl_7b"
        else:
            kind = "llama"
        required = (f"{start}norm.weight",)
        yield FoundEncoder(kind, found["prefix"], table[1], f"{start}layers.", required, vision)


VISION_MARKS = ("patch_embed.proj.weight", "merger.ln_q.weight", "merger.mlp.0.weight", "merger.mlp.2.weight")


def _is_whole_vision_part(shapes: Shapes, prefix: str) -> bool:
    """Whether the vision part of Qwen2.5-VL is there: both ends, and each block like the first."""
    if not all(f"{prefix}{name}" in shapes for name in VISION_MARKS):
        return False
    blocks: dict[str, set[str]] = {}
    pattern = re.compile(rf"{re.escape(prefix)}blocks\.(\d{{1,4}})\.(.+)")
    for name in shapes:
        if found := pattern.match(name):
            blocks.setdefault(found[1], set()).add(found[2])
    first = blocks.get("0", set())
    return "attn.qkv.weight" in first and all(blocks.get(str(n)) == first for n in range(len(blocks)))


FINDERS: tuple[Callable[[Shapes], Iterator[FoundEncoder]], ...] = (_clip, _open_clip, _t5, _decoders)
