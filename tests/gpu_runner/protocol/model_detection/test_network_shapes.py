"""Shapes that the scan expects of weights: those of the networks that the engine builds."""

import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from gpu_runner.protocol.model_detection.network_shapes import (
    clip_weights,
    controlnet_weights,
    unet_weights,
    vae_weights,
)
from gpu_runner.protocol.model_detection.standard_modules import UNETS

UNET = {"in_channels": 4, "out_channels": 4, "cross_attention_dim": 768, "attention_head_dim": 8}
TINY = {
    **UNET,
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": 2,
    "use_linear_projection": True,
}
SIZES = {"addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816}
STANDARD = {
    "tiny": TINY,
    "SD 1": {**UNET, **UNETS[768], "use_linear_projection": False},
    "SDXL": {**UNET, **UNETS[2048], **SIZES, "cross_attention_dim": 2048, "use_linear_projection": True},
}


def weights_of(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {
        name.removesuffix(".weight"): tuple(tensor.shape)
        for name, tensor in network.state_dict().items()
        if name.endswith(".weight")
    }


@pytest.mark.parametrize("config", STANDARD.values(), ids=STANDARD)
def test_a_unet_and_its_controlnet_have_the_shapes_of_diffusers(config):
    with torch.device("meta"):
        assert unet_weights(config) == weights_of(UNet2DConditionModel(**config))
        own = {name: value for name, value in config.items() if not name.startswith(("out_", "up_"))}
        own |= {"conditioning_channels": 3, "conditioning_embedding_out_channels": (16, 32, 96)}
        assert controlnet_weights(own) == weights_of(ControlNetModel(**own))


@pytest.mark.parametrize("widths", [(32, 64), (128, 256, 512, 512)])
def test_a_vae_has_the_shapes_of_diffusers(widths):
    config = {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 4,
        "block_out_channels": widths,
        "layers_per_block": 2,
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
    }
    with torch.device("meta"):
        assert vae_weights(config) == weights_of(AutoencoderKL(**config))


def test_a_text_encoder_has_the_shapes_of_transformers():
    config = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.device("meta"):
        expected = weights_of(CLIPTextModel(CLIPTextConfig(**config)))
    found = {name.removeprefix("text_model."): shape for name, shape in expected.items()}
    assert clip_weights(config) == {name: shape for name, shape in found.items() if "embedding" not in name}
