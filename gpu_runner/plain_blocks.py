"""diffusers' blocks as a drawing needs them: the same pictures, to the byte, without what only others need.

Its attention looks, at every call, at the signature of what it is about to call. It and the residual block divide their
answer by 1, which is another pass over all of it, and a transformer turns its tokens into a layout that nothing around it
has. Activations are written over what nobody else needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)


class PlainAttention(Attention):
    """Of a transformer's block: tokens in, tokens out."""

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **others: Any,
    ) -> Tensor:
        """(rows, tokens, width)."""
        if attention_mask is not None or others:
            asked: Tensor = super().forward(hidden_states, encoder_hidden_states, attention_mask, **others)
            return asked
        attended = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = self._heads_apart(self.to_q(hidden_states))
        key, value = self._heads_apart(self.to_k(attended)), self._heads_apart(self.to_v(attended))
        answer = F.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.to_out[0](answer.transpose(1, 2).flatten(2))
        return projected

    def _heads_apart(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)


class PlainTransformerBlock(BasicTransformerBlock):
    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        **others: Any,
    ) -> Tensor:
        """(rows, tokens, width)."""
        masks = (attention_mask, encoder_attention_mask)
        if any(extra is not None for extra in (*masks, *others.values())):
            asked: Tensor = super().forward(
                hidden_states, attention_mask, encoder_hidden_states, encoder_attention_mask, **others
            )
            return asked
        hidden_states = self.attn1(self.norm1(hidden_states)) + hidden_states
        hidden_states = self.attn2(self.norm2(hidden_states), encoder_hidden_states) + hidden_states
        answer: Tensor = self.ff(self.norm3(hidden_states)) + hidden_states
        return answer


class PlainTransformer(Transformer2DModel):
    """Its tokens are the pixels of a map whose channels lie beside each other, as all maps here do: none is copied."""

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        *extras: Any,
        return_dict: bool = True,
        **others: Any,
    ) -> Any:
        """(rows, channels, height, width)."""
        if return_dict or any(extra is not None for extra in (*extras, *others.values())):
            return super().forward(
                hidden_states, encoder_hidden_states, *extras, return_dict=return_dict, **others
            )
        tokens = self._tokens(hidden_states)
        for block in self.transformer_blocks:
            tokens = block(tokens, encoder_hidden_states=encoder_hidden_states)
        return (self._map(tokens, hidden_states.shape[-2:]) + hidden_states,)

    def _tokens(self, hidden: Tensor) -> Tensor:
        hidden = self.norm(hidden)
        if self.use_linear_projection:
            projected: Tensor = self.proj_in(_pixels(hidden))
            return projected
        return _pixels(self.proj_in(hidden))

    def _map(self, tokens: Tensor, size: torch.Size) -> Tensor:
        if self.use_linear_projection:
            return _as_map(self.proj_out(tokens), size)
        projected: Tensor = self.proj_out(_as_map(tokens, size))
        return projected


def _pixels(hidden: Tensor) -> Tensor:
    """(rows, channels, height, width) as (rows, height x width, channels)."""
    return hidden.permute(0, 2, 3, 1).flatten(1, 2)


def _as_map(tokens: Tensor, size: torch.Size) -> Tensor:
    return tokens.unflatten(1, size).permute(0, 3, 1, 2)


class PlainResnet(ResnetBlock2D):
    def forward(self, input_tensor: Tensor, temb: Tensor, *rest: Any, **others: Any) -> Tensor:
        """(rows, channels, height, width)."""
        if torch.is_grad_enabled():  # a gradient needs what is written over here
            asked: Tensor = super().forward(input_tensor, temb, *rest, **others)
            return asked
        hidden: Tensor = self.conv1(F.silu(self.norm1(input_tensor), inplace=True))
        if self.time_emb_proj is not None:  # a VAE knows no times, and its temb is None
            hidden = hidden + self.time_emb_proj(F.silu(temb))[:, :, None, None]
        hidden = self.conv2(F.silu(self.norm2(hidden), inplace=True))
        return (input_tensor if self.conv_shortcut is None else self.conv_shortcut(input_tensor)) + hidden


def simplified(model: Model) -> Model:
    """The same one. Its blocks that do more than the plain ones can stay as they are."""
    for module in model.modules():
        for theirs, (ours, is_plain) in PLAIN.items():
            if type(module) is theirs and is_plain(module):
                module.__class__ = ours
    return model


def as_diffusers_has_them(model: Model) -> Model:
    """The same one, for a comparison."""
    for module in model.modules():
        for theirs, (ours, _is_plain) in PLAIN.items():
            if type(module) is ours:
                module.__class__ = theirs
    return model


def _is_plain_attention(module: Any) -> bool:
    extras = (module.spatial_norm, module.group_norm, module.norm_cross, module.norm_q, module.norm_k)
    return (
        type(module.processor) is AttnProcessor2_0
        and all(extra is None for extra in extras)
        and not module.residual_connection
        and module.rescale_output_factor == 1
    )


def _is_plain_transformer_block(module: Any) -> bool:
    return (
        module.norm_type == "layer_norm"
        and module.pos_embed is None
        and module.attn2 is not None
        and not module.only_cross_attention
        and not hasattr(module, "fuser")
    )


def _is_plain_transformer(module: Any) -> bool:
    return bool(module.is_input_continuous)


def _is_plain_resnet(module: Any) -> bool:
    return (
        isinstance(module.nonlinearity, nn.SiLU)
        and not (module.up or module.down or module.skip_time_act)
        and module.time_embedding_norm in ("default", "group")  # a VAE's decoder has the latter, and no times
        and module.output_scale_factor == 1
    )


PLAIN: dict[type[nn.Module], tuple[type[nn.Module], Callable[[Any], bool]]] = {
    Attention: (PlainAttention, _is_plain_attention),
    BasicTransformerBlock: (PlainTransformerBlock, _is_plain_transformer_block),
    Transformer2DModel: (PlainTransformer, _is_plain_transformer),
    ResnetBlock2D: (PlainResnet, _is_plain_resnet),
}
