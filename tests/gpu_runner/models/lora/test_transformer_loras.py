"""LoRAs for diffusion transformers, in the names of every trainer."""

import pytest
import torch

from demo.flow_matching.original_layout import original_layout
from gpu_runner.models.lora.deltas import weight_delta
from gpu_runner.models.lora.transformer_deltas import distributed
from gpu_runner.protocol.families.registry import DRAWN, FAMILIES
from gpu_runner.protocol.model_detection.adapter_layouts import split
from gpu_runner.protocol.model_detection.transformers.key_map import number_of_blocks
from gpu_runner.protocol.model_detection.transformers.lora_names import lora_families, lora_targets
from gpu_runner.protocol.model_detection.usability import inspect
from tests.support.transformer_files import RELEASED, TINY, released, tiny

# Name of a module in the files of each trainer: kohya writes underscores.
SPELLINGS = {
    "kohya": lambda module: "lora_unet_" + module.replace(".", "_"),
    "ai-toolkit": lambda module: f"diffusion_model.{module}",
    "PEFT": lambda module: f"base_model.model.{module}",
    "diffusers": lambda module: f"transformer.{module}",
    "LyCORIS": lambda module: "lycoris_" + module.replace(".", "_"),
    "bare": lambda module: module,
}


def linear(state):
    """Modules with a matrix, by name."""
    return {
        name.removesuffix(".weight"): tensor
        for name, tensor in state.items()
        if name.endswith(".weight") and tensor.ndim == 2
    }


def blocks_of(family, state):
    stack = {"z_image": "layers"}.get(family, "transformer_blocks")
    return number_of_blocks(dict.fromkeys(state, ()), stack)


@pytest.mark.slow
@pytest.mark.parametrize("name", RELEASED)
def test_every_module_of_a_released_model_has_its_place(name):
    family, state = released(name)
    wanted = linear(state)
    for tensors in (state, original_layout(family, state)):
        found = [
            target.module
            for module in linear(tensors)
            for target in lora_targets(family, f"diffusion_model.{module}", blocks_of(family, state))
        ]
        assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("family", TINY)
def test_names_of_every_trainer_lead_to_the_same_modules(family, spelling):
    state = tiny(family).state_dict()
    for tensors in (state, original_layout(family, state)):
        paths = [SPELLINGS[spelling](module) for module in linear(tensors)]
        assert family in lora_families(paths)
        found = [
            target.module for path in paths for target in lora_targets(family, path, blocks_of(family, state))
        ]
        assert sorted(found) == sorted(linear(state))


@pytest.mark.parametrize("family", TINY)
def test_change_in_the_names_of_the_authors_is_the_change_of_the_converted_weights(family):
    """W + delta converted equals W converted + delta distributed, for fused projections and swapped halves too."""
    state = tiny(family).state_dict()
    changed = {name: torch.randn_like(tensor) for name, tensor in state.items()}
    file = original_layout(family, changed) if family != "qwen_image" else changed
    for module, delta in linear(file).items():
        targets = lora_targets(family, f"lora_unet_{module.replace('.', '_')}", blocks_of(family, state))
        rows = [len(state[f"{target.module}.weight"]) for target in targets]
        for name, part in distributed(delta, targets, rows).items():
            assert torch.equal(part, changed[f"{name}.weight"])


def test_change_of_other_sizes_is_refused():
    targets = lora_targets("sd3", "joint_blocks.0.x_block.attn.qkv", 3)
    with pytest.raises(ValueError, match="must have 96 outputs"):
        distributed(torch.zeros(64, 8), targets, [32, 32, 32])


def lora(family, spelling, layout="original", *, kind="lora", **metadata):
    state = tiny(family).state_dict()
    tensors = original_layout(family, state) if layout == "original" else state
    shapes = {}
    for module, weight in linear(tensors).items():
        path = SPELLINGS[spelling](module)
        outputs, inputs = weight.shape
        if kind == "lora":
            shapes |= {f"{path}.lora_down.weight": (4, inputs), f"{path}.lora_up.weight": (outputs, 4)}
        elif kind == "peft":
            shapes |= {f"{path}.lora_A.weight": (4, inputs), f"{path}.lora_B.weight": (outputs, 4)}
        elif kind == "dora":
            shapes |= {f"{path}.lora_A.weight": (4, inputs), f"{path}.lora_B.weight": (outputs, 4)}
            shapes[f"{path}.lora_magnitude_vector.weight"] = (outputs,)
        elif kind == "lokr":
            shapes |= {
                f"{path}.lokr_w1": (2, 2),
                f"{path}.lokr_w2": (outputs // 2, inputs // 2),
                f"{path}.alpha": (),
            }
        else:
            for number in (1, 2):
                shapes |= {f"{path}.hada_w{number}_a": (outputs, 4), f"{path}.hada_w{number}_b": (4, inputs)}
    return inspect(shapes, metadata)


@pytest.mark.parametrize("kind", ["lora", "peft", "dora", "lokr", "loha"])
@pytest.mark.parametrize("family", ["sd3", "z_image", "flux1", "flux2", "qwen_image"])
def test_family_is_recognized_in_every_kind_of_adapter(family, kind):
    found = lora(family, "ai-toolkit", kind=kind)
    assert (found.kind, found.family, found.detail["left_out"]) == ("lora", family, ())
    is_applied = family in DRAWN and FAMILIES[family].allows("lora")
    assert is_applied != found.problem.startswith("it is a LoRA for")


def test_chroma_is_told_from_flux_by_metadata_alone():
    assert lora("chroma", "kohya", "diffusers").family in ("flux1", "chroma")
    assert lora("chroma", "kohya", **{"modelspec.architecture": "chroma/lora"}).family == "chroma"


@pytest.mark.parametrize(("ratio", "family"), [(7, "flux1"), (9, "flux2")])
def test_flux_1_and_2_are_told_apart_by_the_size_of_a_module_that_both_have(ratio, family):
    path = "lora_unet_single_blocks_3_linear1"
    shapes = {f"{path}.lora_down.weight": (4, 64), f"{path}.lora_up.weight": (ratio * 64, 4)}
    assert inspect(shapes).family == family


def test_lora_with_text_encoder_part_and_without_alpha_keeps_its_family():
    text = "lora_te1_text_model_encoder_layers_0_self_attn_q_proj"
    both = {f"{text}.lora_down.weight": (4, 768), f"{text}.lora_up.weight": (768, 4)}
    path = "lora_unet_double_blocks_0_img_mod_lin"
    both |= {f"{path}.lora_down.weight": (4, 3072), f"{path}.lora_up.weight": (18432, 4)}
    assert inspect(both).family == "flux1"


def test_lora_of_a_unet_stays_one():
    path = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    shapes = {f"{path}.lora_down.weight": (4, 768), f"{path}.lora_up.weight": (320, 4)}
    assert (inspect(shapes).family, inspect(shapes).problem) == ("sd15", "")
    assert split(f"{path}.lora_up.weight") == (path, "up")


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.bfloat16])
def test_change_is_computed_from_low_precision_and_without_alpha(dtype):
    down, up = torch.randn(2, 8).to(dtype), torch.randn(6, 2).to(dtype)
    delta = weight_delta({"down": down, "up": up}, torch.zeros(6, 8))
    assert torch.allclose(delta, up.float() @ down.float())
