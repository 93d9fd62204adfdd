"""Conversion between the LDM and diffusers layouts, compared with the converters of diffusers."""

import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_controlnet_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)

from demo.architectures.standard import TINY
from gpu_runner.models.conversion.ldm_keys import (
    UNET_PREFIX,
    VAE_PREFIX,
    controlnet_pairs,
    from_diffusers,
    to_diffusers,
    unet_pairs,
    vae_pairs,
)

pytestmark = pytest.mark.slow

CONTROL_PREFIX = "control_model."


def converts_equally(module, prefix, pairs, convert):
    state = module.state_dict()
    file = from_diffusers(state, prefix, pairs)
    ours, theirs = to_diffusers(file, prefix, pairs, state), convert(dict(file), dict(module.config))
    assert ours.keys() == theirs.keys() == state.keys()
    return all(torch.equal(ours[name], theirs[name].view_as(state[name])) for name in state)


@pytest.mark.parametrize("family", TINY)
def test_conversion_of_a_unet_equals_diffusers(family):
    unet = UNet2DConditionModel(**TINY[family].unet)
    assert converts_equally(unet, UNET_PREFIX, unet_pairs(unet.config), convert_ldm_unet_checkpoint)


@pytest.mark.parametrize("family", TINY)
def test_conversion_of_a_vae_equals_diffusers(family):
    vae = AutoencoderKL(**TINY[family].vae)
    assert converts_equally(vae, VAE_PREFIX, vae_pairs(vae.config), convert_ldm_vae_checkpoint)


@pytest.mark.parametrize("family", ["sd15", "sd2"])  # diffusers' converter omits SDXL's add_embedding
def test_conversion_of_a_controlnet_equals_diffusers(family):
    net = ControlNetModel.from_unet(UNet2DConditionModel(**TINY[family].unet))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)  # new ones are zero, and equal zeros would hide mistakes
    assert converts_equally(net, CONTROL_PREFIX, controlnet_pairs(net.config), convert_controlnet_checkpoint)
