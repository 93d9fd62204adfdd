import copy
import inspect

import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn

from gpu_runner.models.store import ModelStore
from gpu_runner.plain_blocks import PLAIN, PlainAttention, PlainResnet, as_diffusers_has_them, simplified


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint):
    root, file = tiny_checkpoint
    return ModelStore(root, "cpu", torch.float32, 2**34).get(file)


@pytest.fixture(scope="module")
def unet(checkpoint):
    return checkpoint.unet


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def guess(unet) -> torch.Tensor:
    latents = noise(2, 4, 8, 8).contiguous(memory_format=torch.channels_last)  # as the engine's
    return unet(latents, torch.tensor(500.0), noise(2, 77, 64), return_dict=False)[0]


def kinds(model) -> set[type]:
    return {type(module) for module in model.modules()}


def test_a_unet_guesses_as_diffusers_own(unet):
    with torch.inference_mode():
        assert torch.equal(guess(unet), guess(as_diffusers_has_them(copy.deepcopy(unet))))


def test_a_vae_draws_and_reads_as_diffusers_own(checkpoint):
    ours, theirs = checkpoint.vae, as_diffusers_has_them(copy.deepcopy(checkpoint.vae))
    with torch.inference_mode():
        drawn = ours.decode(noise(1, 4, 8, 8)).sample
        assert torch.equal(drawn, theirs.decode(noise(1, 4, 8, 8)).sample)
        assert torch.equal(ours.encode(drawn).latent_dist.mean, theirs.encode(drawn).latent_dist.mean)


def test_all_blocks_of_a_unet_are_plain(unet):
    assert not PLAIN.keys() & kinds(unet)
    assert {ours for ours, _is_plain in PLAIN.values()} <= kinds(unet)


def test_all_residual_blocks_of_a_vae_are_plain(checkpoint):
    assert ResnetBlock2D not in kinds(checkpoint.vae)
    assert PlainResnet in kinds(checkpoint.vae)


def test_what_it_is_given_is_not_written_over(unet):
    block = next(module for module in unet.modules() if isinstance(module, PlainResnet))
    given = noise(2, block.in_channels, 8, 8)
    kept = given.clone()
    with torch.inference_mode():
        block(given, noise(2, block.time_emb_proj.in_features))
    assert torch.equal(given, kept)


def test_a_gradient_is_that_of_diffusers_own(unet):
    ours, theirs = copy.deepcopy(unet), as_diffusers_has_them(copy.deepcopy(unet))
    for model in (ours, theirs):
        guess(model.requires_grad_(True)).sum().backward()
    assert torch.equal(ours.conv_in.weight.grad, theirs.conv_in.weight.grad)


def test_no_call_asks_for_a_signature(unet, monkeypatch):
    monkeypatch.setattr(inspect, "signature", lambda _asked: pytest.fail("it asked"))
    with torch.inference_mode():
        guess(unet)


@pytest.mark.parametrize(
    "unusual",
    [
        {"output_scale_factor": 2.0},
        {"time_embedding_norm": "scale_shift"},
        {"skip_time_act": True},
        {"non_linearity": "gelu"},
        {"up": True},
        {"down": True},
    ],
    ids=str,
)
def test_an_unusual_residual_block_stays_as_it_is(unusual):
    block = ResnetBlock2D(in_channels=32, temb_channels=8, **unusual)
    assert kinds(simplified(nn.Sequential(block))) & {ResnetBlock2D, PlainResnet} == {ResnetBlock2D}


@pytest.mark.parametrize(
    "unusual",
    [
        {"residual_connection": True},
        {"rescale_output_factor": 2.0},
        {"norm_num_groups": 4},
        {"qk_norm": "layer_norm"},
        {"cross_attention_norm": "layer_norm"},
        {"spatial_norm_dim": 8},
    ],
    ids=str,
)
def test_an_unusual_attention_stays_as_it_is(unusual):
    attention = Attention(query_dim=32, heads=4, dim_head=8, **unusual)
    assert kinds(simplified(nn.Sequential(attention))) & {Attention, PlainAttention} == {Attention}


@pytest.mark.parametrize(
    "unusual",
    [
        {"norm_type": "ada_norm", "num_embeds_ada_norm": 10},
        {"only_cross_attention": True},
        {"attention_type": "gated"},
    ],
    ids=str,
)
def test_an_unusual_block_of_a_transformer_stays_as_it_is(unusual):
    block = BasicTransformerBlock(32, 4, 8, cross_attention_dim=16, **unusual)
    assert type(simplified(block)) is BasicTransformerBlock


def test_a_transformer_of_patches_stays_as_it_is():
    transformer = Transformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        sample_size=8,
        patch_size=2,
        norm_type="ada_norm_zero",
        num_embeds_ada_norm=10,
    )
    assert type(simplified(transformer)) is Transformer2DModel


def seen(tokens: int) -> torch.Tensor:
    """The first half."""
    return (torch.arange(tokens) < tokens // 2).float().expand(2, -1)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize(
    "mask", [{}, {"attention_mask": seen(64)}, {"encoder_attention_mask": seen(6)}], ids=list
)
def test_a_transformer_answers_as_diffusers_own(linear, mask):
    sizes = {"num_attention_heads": 2, "attention_head_dim": 16, "in_channels": 32, "cross_attention_dim": 16}
    transformer = Transformer2DModel(**sizes, use_linear_projection=linear)
    hidden = noise(2, 32, 8, 8).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        theirs, unmasked = (
            transformer(hidden, noise(2, 6, 16), **given, return_dict=False)[0] for given in (mask, {})
        )
        ours = simplified(transformer)(hidden, noise(2, 6, 16), **mask, return_dict=False)[0]
    assert torch.equal(ours, theirs)
    assert torch.equal(ours, unmasked) == (not mask)
