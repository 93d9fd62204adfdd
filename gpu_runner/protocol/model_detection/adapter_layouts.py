"""Tensor names of LoRAs and related adapters: which tensors belong to which module, in the layouts of all common tools.

The scan and the engine use the same table. A module is recognized by its own name (the names of diffusers and those of
the LDM layout), whatever precedes it: ``lora_unet_``, ``lycoris_``, ``diffusion_model.``, ``unet.``,
``base_model.model.``, or nothing. No torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

UNET, TEXT, TEXT_2 = "unet", "text_encoder", "text_encoder_2"
BUNDLED = "bundle_emb."  # textual inversions inside a LoRA file: bundle_emb.NAME.TENSOR

# Ending of a tensor name (a regular expression) -> role of the tensor.
_FACTOR = r"[._]lora(?:_linear_layer)?[._]{}(?:\.weight)?"
ENDINGS: tuple[tuple[str, str], ...] = (
    (_FACTOR.format("down"), "down"),  # kohya, diffusers, and attention processors: to_q_lora.down.weight
    (_FACTOR.format("up"), "up"),
    (_FACTOR.format("mid"), "mid"),
    (r"\.lora_A(?:\.\w+)?\.weight", "down"),  # PEFT, with and without the name of the adapter
    (r"\.lora_B(?:\.\w+)?\.weight", "up"),
    (r"\.lora_magnitude_vector(?:\.\w+)?(?:\.weight)?", "magnitude"),
    (r"\.(?:alpha|scale|dora_scale|diff|diff_b|w_norm|b_norm|on_input|rescale)", ""),
    (r"\.oft_(?:blocks|diag)", ""),
    (r"\.(?:hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t[12]))", ""),
    (r"\.(?:a1|a2|b1|b2|bm)\.weight", ""),  # GLoRA
    (r"\.weight", ""),  # IA3, beside ``on_input``
)
_ENDING = re.compile("|".join(f"(?P<_{index}>{ending})$" for index, (ending, _role) in enumerate(ENDINGS)))

# Tensors that a module must have, for each kind of adapter.
REQUIRED = (
    {"down", "up"},
    {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"},
    {"diff"},
    {"diff_b"},
    {"w_norm"},
    {"oft_blocks"},
    {"oft_diag"},
    {"weight", "on_input"},
    {"a1", "a2", "b1", "b2"},
)

_BLOCK = r"transformer_blocks_\d+_(?:norm[123]|ff_net_(?:0_proj|2)|attn[12]_to_(?:[qkv]|out(?:_0)?))"
_ATTENTION = rf"(?:norm|proj_in|proj_out|{_BLOCK})"
_RESNET = r"(?:norm[12]|conv[12]|time_emb_proj|conv_shortcut)"
_LDM_RESNET = r"(?:in_layers_[02]|emb_layers_1|out_layers_[03]|skip_connection)"
_LDM_INNER = rf"(?:{_ATTENTION}|{_LDM_RESNET}|op|conv)"
_UNET = "|".join(
    (
        rf"(?:down_blocks|up_blocks)_\d+_attentions_\d+_{_ATTENTION}",
        rf"(?:down_blocks|up_blocks)_\d+_resnets_\d+_{_RESNET}",
        r"(?:down_blocks_\d+_down|up_blocks_\d+_up)samplers_0_conv",
        rf"mid_block_(?:attentions_\d+_{_ATTENTION}|resnets_\d+_{_RESNET})",
        rf"(?:input_blocks|output_blocks)_\d+_\d+(?:_{_LDM_INNER})?",
        rf"middle_block_\d+_{_LDM_INNER}",
        r"conv_in|conv_out|conv_norm_out|(?:time|add)_embedding_linear_[12]",
        r"time_embed_[02]|label_emb_0_[02]|out_[02]",
    )
)
_TEXT = (
    r"encoder_layers_\d+_(?:self_attn_(?:[qkv]_proj|out_proj|to_[qkv]|to_out)|mlp_fc[12]|layer_norm[12])"
    r"|final_layer_norm|text_projection"
)
# The index of a list before a module's name means that it belongs to another network, such as Flux's
# ``double_blocks_0_…_out_0``.
_UNET_MODULE = re.compile(rf"(?P<start>(?:[a-z]+_)*?)(?P<module>{_UNET})$")
_TEXT_MODULE = re.compile(rf"(?P<start>(?:\w+_)??)(?:text_model_)?(?P<module>{_TEXT})$")
_SECOND = re.compile(r"(?:te_?2|text_encoder_2|clip_g|embedders_1)_")
_NOT_OURS = re.compile(r"vision|t5|controlnet|motion")
SDXL_STARTS = re.compile(r"te_?[12]_|text_encoder_2_|clip_g_|embedders_[01]_")
# Attention layers had other names in the first LoRAs that diffusers wrote.
_OLD_TEXT_NAMES = (("self_attn_to_out", "self_attn_out_proj"), ("self_attn_to_", "self_attn_{}_proj"))


class Module(NamedTuple):
    """A module that an adapter changes. ``part`` is empty for modules of no supported network."""

    part: str
    name: str  # with underscores, as in kohya's names, without prefix
    start: str = ""  # the prefix in the file


def split(tensor_name: str) -> tuple[str, str] | None:
    """Split a tensor name into the path of a module and the role of the tensor; None if it is no adapter tensor."""
    found = _ENDING.search(tensor_name)
    if found is None or found.start() == 0:
        return None
    role = ENDINGS[int((found.lastgroup or "_0")[1:])][1]
    return tensor_name[: found.start()], role or found[0].removeprefix(".").removesuffix(".weight")


def module_of(path: str) -> Module:
    """The module of a path in a file."""
    flat = re.sub(r"\.processor\b", "", path).replace(".", "_")
    if _NOT_OURS.search(flat):
        return Module("", flat)
    if found := _UNET_MODULE.fullmatch(flat):
        return Module(UNET, found["module"], found["start"])
    if found := _TEXT_MODULE.fullmatch(flat):
        start = found["start"]
        return Module(TEXT_2 if _SECOND.search(start) else TEXT, _current_name(found["module"]), start)
    return Module("", flat)


def _current_name(module: str) -> str:
    for old, new in _OLD_TEXT_NAMES:
        before, found, after = module.partition(old)
        if found:
            return before + new.format(after)
    return module


def is_complete(roles: Iterable[str]) -> bool:
    """Whether all tensors that a kind of adapter requires are present."""
    found = set(roles)
    return any(kind <= found for kind in REQUIRED) or (
        _has_factor(found, "lokr_w1") and _has_factor(found, "lokr_w2")
    )


def _has_factor(roles: set[str], name: str) -> bool:
    return name in roles or {f"{name}_a", f"{name}_b"} <= roles


@dataclass(frozen=True)
class Adapter:
    """The tensor names of an adapter file, by module and role."""

    modules: Mapping[Module, Mapping[str, str]]  # complete modules of supported networks: role -> tensor name
    foreign: tuple[str, ...] = ()  # complete modules of other networks
    unused: tuple[str, ...] = ()  # tensors of neither, and of incomplete modules
    bundled: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # embedding -> its tensors

    @property
    def is_adapter(self) -> bool:
        return bool(self.modules or self.foreign)

    @property
    def is_for_another_network(self) -> bool:
        """Whether the adapted network is not a supported one, though a text encoder may be."""
        return bool(self.foreign) and not any(module.part == UNET for module in self.modules)

    @property
    def left_out(self) -> tuple[str, ...]:
        """What the engine does not use of the file."""
        return (*self.foreign, *self.unused)


def read_adapter(names: Iterable[str]) -> Adapter:
    """Group the tensor names of a file."""
    paths: dict[str, dict[str, str]] = {}
    unused: list[str] = []
    bundled: dict[str, dict[str, str]] = {}
    for name in names:
        if name.startswith(BUNDLED):
            embedding, tensor = _bundled(name.removeprefix(BUNDLED))
            bundled.setdefault(embedding, {})[tensor] = name
        elif found := split(name):
            paths.setdefault(found[0], {})[found[1]] = name
        else:
            unused.append(name)
    modules: dict[Module, dict[str, str]] = {}
    foreign = []
    for path, roles in paths.items():
        module = module_of(path)
        if not is_complete(roles):
            unused += roles.values()
        elif not module.part:
            foreign.append(path)
        else:
            modules.setdefault(module, {}).update(roles)
    return Adapter(modules, tuple(foreign), tuple(unused), bundled)


def _bundled(name: str) -> tuple[str, str]:
    """Split the name of a tensor of a bundled embedding into the embedding's name and the tensor's."""
    embedding, found, parameter = name.rpartition(".string_to_param.")
    if found:
        return embedding, f"string_to_param.{parameter}"
    embedding, _dot, tensor = name.rpartition(".")
    return embedding, tensor
