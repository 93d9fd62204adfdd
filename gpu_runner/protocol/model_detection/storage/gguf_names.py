"""Tensor names of GGUF files in the terms of all other files. No torch.

Diffusion models keep the names of their authors, mostly without the prefix of checkpoints. Text encoders have the names
of llama.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

UNET = "model.diffusion_model."
T5 = (
    ("enc.output_norm", "encoder.final_layer_norm"),
    ("token_embd", "shared"),
    ("enc.blk.", "encoder.block."),
    (".attn_rel_b", ".layer.0.SelfAttention.relative_attention_bias"),
    (".attn_norm", ".layer.0.layer_norm"),
    (".attn_q", ".layer.0.SelfAttention.q"),
    (".attn_k", ".layer.0.SelfAttention.k"),
    (".attn_v", ".layer.0.SelfAttention.v"),
    (".attn_o", ".layer.0.SelfAttention.o"),
    (".ffn_norm", ".layer.1.layer_norm"),
    (".ffn_gate", ".layer.1.DenseReluDense.wi_0"),
    (".ffn_up", ".layer.1.DenseReluDense.wi_1"),
    (".ffn_down", ".layer.1.DenseReluDense.wo"),
)
DECODER = (
    ("token_embd", "model.embed_tokens"),
    ("output_norm", "model.norm"),
    ("output", "lm_head"),
    ("blk.", "model.layers."),
    (".attn_norm", ".input_layernorm"),
    (".attn_q_norm", ".self_attn.q_norm"),
    (".attn_k_norm", ".self_attn.k_norm"),
    (".attn_q", ".self_attn.q_proj"),
    (".attn_k", ".self_attn.k_proj"),
    (".attn_v", ".self_attn.v_proj"),
    (".attn_output", ".self_attn.o_proj"),
    (".ffn_norm", ".post_attention_layernorm"),
    (".ffn_gate", ".mlp.gate_proj"),
    (".ffn_up", ".mlp.up_proj"),
    (".ffn_down", ".mlp.down_proj"),
)


def visible_names(names: Iterable[str]) -> dict[str, str]:
    """Map the names under which the tensors are read to those in the file. Raises ValueError if two become one."""
    stored = list(names)
    rename = _renaming(set(stored))
    visible = {rename(name): name for name in stored}
    if len(visible) != len(stored):
        raise ValueError("two of its tensors have the same meaning")
    return visible


def _renaming(stored: set[str]) -> Callable[[str], str]:
    if "input_blocks.0.0.weight" in stored:
        return lambda name: f"{UNET}{name}"
    if "enc.blk.0.attn_q.weight" in stored:
        return lambda name: _renamed(name, T5)
    if "blk.0.attn_q.weight" in stored:
        return lambda name: _renamed(name, DECODER)
    return lambda name: name


def _renamed(name: str, table: Iterable[tuple[str, str]]) -> str:
    """Replace the start of a name, and one part of it after the number of a block."""
    stem, dot, ending = name.rpartition(".")
    for old, new in table:
        if old.startswith("."):
            if stem.endswith(old):
                return f"{stem.removesuffix(old)}{new}{dot}{ending}"
        elif old.endswith(".") and stem.startswith(old):
            stem = new + stem.removeprefix(old)
        elif stem == old:
            return f"{new}{dot}{ending}"
    return f"{stem}{dot}{ending}"
