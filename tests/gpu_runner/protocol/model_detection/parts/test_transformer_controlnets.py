"""ControlNets of diffusion transformers are recognized by their tensors, at the sizes of released ones (on the meta device)."""

import diffusers
import pytest
import torch

from demo.flow_matching.original_layout import renamed
from gpu_runner.protocol.model_detection.transformers.controlnets.flux1 import KEY_MAP
from gpu_runner.protocol.model_detection.transformers.controlnets.recognition import (
    find_transformer_controlnet,
)
from gpu_runner.protocol.model_detection.usability import inspect
from tests.support.flow_controlnets import CONTROLNETS, tiny_controlnet

LARGE = {"num_attention_heads": 38, "attention_head_dim": 64, "pos_embed_max_size": 192}
MEDIUM = {
    "num_attention_heads": 24,
    "attention_head_dim": 64,
    "caption_projection_dim": 1536,
    "pos_embed_max_size": 192,
}
EVERY_SECOND = {
    "control_layers_places": list(range(0, 30, 2)),
    "control_refiner_layers_places": [0, 1],
    "control_in_dim": 33,
}
ALONE = {"joint_attention_dim": None, "use_pos_embed": False, "force_zeros_for_pooled_projection": False}
# Arguments of released ControlNets, by the names of their makers, and what is told of them.
RELEASED = {
    "InstantX FLUX union": (
        "FluxControlNetModel",
        {"num_layers": 5, "num_single_layers": 10, "guidance_embeds": True, "num_mode": 10},
        {"family": "flux1", "residuals": 15, "modes": 10},
    ),
    "Shakker FLUX union 2.0": (
        "FluxControlNetModel",
        {"num_layers": 6, "num_single_layers": 0, "guidance_embeds": True},
        {"family": "flux1", "residuals": 6, "modes": 0},
    ),
    "XLabs": (
        "FluxControlNetModel",
        {"num_layers": 2, "num_single_layers": 0, "guidance_embeds": True, "patch_size": 2,
         "conditioning_embedding_channels": 16},
        {"family": "flux1", "residuals": 2, "modes": 0},
    ),
    "InstantX Qwen union": ("QwenImageControlNetModel", {"num_layers": 5}, {"family": "qwen_image", "residuals": 5, "mask": ""}),
    "InstantX Qwen inpainting": (
        "QwenImageControlNetModel",
        {"num_layers": 6, "extra_condition_channels": 4},
        {"family": "qwen_image", "residuals": 6, "mask": "needed"},
    ),
    "Z-Image 1": (
        "ZImageControlNetModel",
        {"control_layers_places": list(range(0, 30, 5)), "control_in_dim": 16},
        {"family": "z_image", "residuals": 6, "mask": ""},
    ),
    "Z-Image 2.1": (
        "ZImageControlNetModel",
        EVERY_SECOND | {"add_control_noise_refiner": "control_noise_refiner"},
        {"family": "z_image", "residuals": 15, "mask": "optional"},
    ),
    "InstantX SD3": ("SD3ControlNetModel", MEDIUM | {"num_layers": 6}, {"family": "sd3", "residuals": 6, "mask": ""}),
    "Alimama SD3 inpainting": (
        "SD3ControlNetModel",
        MEDIUM | {"num_layers": 23, "extra_conditioning_channels": 1},
        {"family": "sd3", "residuals": 23, "mask": "needed"},
    ),
    "SD3.5 large": ("SD3ControlNetModel", LARGE | ALONE | {"num_layers": 19}, {"family": "sd3", "residuals": 19, "mask": ""}),
}  # fmt: skip


def _shapes(state):
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(RELEASED))
def test_the_class_and_its_arguments_follow_from_the_tensors(name):
    class_name, config, told = RELEASED[name]
    with torch.device("meta"):
        state = getattr(diffusers, class_name)(**config).state_dict()
        found = find_transformer_controlnet(_shapes(state))
        assert found is not None
        again = getattr(diffusers, found.transformer.class_name)(**found.config())
    assert _shapes(again.state_dict()) == _shapes(state)
    inspected = inspect(_shapes(state))
    assert (inspected.kind, inspected.problem) == ("controlnet", "")
    assert {"family": inspected.family, **inspected.detail}.items() >= told.items()


@pytest.mark.parametrize("name", list(CONTROLNETS))
def test_a_controlnet_that_lacks_tensors_or_has_others_is_named_with_them(name):
    state = tiny_controlnet(name).state_dict()
    shapes = _shapes(renamed(KEY_MAP, state) if CONTROLNETS[name].original else state)
    assert (inspect(shapes).kind, inspect(shapes).family) == ("controlnet", CONTROLNETS[name].family)
    assert inspect(shapes).problem == ""
    endings = ("attn.to_k.weight", "attention.to_k.weight", "img_attn.qkv.bias")
    lacking = {key: shape for key, shape in shapes.items() if not key.endswith(endings)}
    assert inspect(lacking).problem.startswith("missing tensor")
    assert "another architecture" in inspect(shapes | {"extra.weight": (8, 8)}).problem
    for shape in ((), (3,), (7, 32)):
        odd = {key: shape if "embedder" in key or "norm" in key else own for key, own in shapes.items()}
        assert inspect(odd).kind in ("controlnet", "unknown")


def test_a_controlnet_of_flux_that_reads_a_mask_is_refused_by_what_it_reads():
    shapes = _shapes(tiny_controlnet("flux edges").state_dict())
    problem = inspect(shapes | {"controlnet_x_embedder.weight": (32, 68)}).problem
    assert problem == "it must read 64 values of each token of its control image (got 68)"
