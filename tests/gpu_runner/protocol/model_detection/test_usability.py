"""The scan's and the engine's common check: what the engine cannot use has a problem with its reason."""

import json

import pytest

from gpu_runner.protocol.model_detection import usability
from gpu_runner.protocol.model_detection.safetensors_models import read_safetensors_header
from tests.support.demo_engine import DEMO_MODELS
from tests.support.tiny_controlnet import ldm_tensors, random_controlnet

DEMO = sorted(path for path in DEMO_MODELS.rglob("*.safetensors"))
UNET, TEXT, VAE = "model.diffusion_model.", "cond_stage_model.", "first_stage_model."


# Groups and heads of networks that are narrower than the released ones.
NUMBERS = {
    "unet": {"attention_head_dim": 4, "norm_num_groups": 8},
    "vae": {"norm_num_groups": 8},
    "controlnet": {"attention_head_dim": 2, "norm_num_groups": 8},
}


def inspect(shapes, metadata=None):
    return usability.inspect(shapes, metadata or numbers())


def numbers(**changes):
    return {"atelier.config": json.dumps(NUMBERS | changes)}


@pytest.fixture(scope="module")
def shapes():
    return read_safetensors_header(DEMO_MODELS / "checkpoints" / "atelier-shapes.safetensors")[0]


def without(shapes, *prefixes):
    return {name: shape for name, shape in shapes.items() if not name.startswith(prefixes)}


@pytest.mark.parametrize("path", DEMO, ids=lambda path: path.stem)
def test_demo_models_are_usable(path):
    found = usability.inspect(*read_safetensors_header(path))
    assert (found.kind != "unknown", found.problem) == (True, "")


def test_a_checkpoint_without_vae_is_usable_with_another_one(shapes):
    found = inspect(without(shapes, VAE))
    assert (found.kind, found.problem, found.detail["has_vae"]) == ("checkpoint", "", False)
    assert inspect(shapes).detail["has_vae"]


def test_an_incomplete_vae_of_a_checkpoint_is_none(shapes):
    assert not inspect(without(shapes, f"{VAE}encoder.conv_out")).detail["has_vae"]


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ((TEXT,), "it has no text encoder"),
        ((TEXT, VAE), "it has no text encoder"),
        ((f"{UNET}middle_block.1.proj_out.bias",), "missing tensor model.diffusion_model.middle_block.1.proj_out.bias"),
        ((f"{UNET}out.2",), "missing tensor"),
        ((f"{UNET}output_blocks.3.0.in_layers",), "and 3 more"),
        ((f"{TEXT}transformer.text_model.final_layer_norm",), "final_layer_norm"),
        ((f"{TEXT}transformer.text_model.encoder.layers.0.self_attn.k_proj.bias",), "k_proj.bias"),
        ((f"{TEXT}transformer.text_model.embeddings",), "token_embedding"),
    ],
)  # fmt: skip
def test_a_checkpoint_with_a_missing_part_has_a_problem(shapes, missing, reason):
    found = inspect(without(shapes, *missing))
    assert found.kind == "checkpoint"
    assert reason in found.problem


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (numbers(unet={"norm_num_groups": 48}), "channels cannot be divided into 48 normalization groups"),
        (numbers(unet={"norm_num_groups": 8, "attention_head_dim": 7}), "channels cannot be divided into 7 attention"),
        (numbers(unet={"norm_num_groups": 8, "attention_head_dim": [1, 2]}), "attention heads for 2"),
        (numbers(text_encoder={"num_attention_heads": 3}), "its 64 channels cannot be divided into 3 attention heads"),
        (numbers(unet={"norm_num_groups": "many"}), "unet has an invalid norm_num_groups"),
        (numbers(text_encoder={"hidden_act": "relu"}), "text_encoder has an invalid hidden_act"),
        (numbers(vae={"scaling_factor": None}), "vae has an invalid scaling_factor"),
    ],
)  # fmt: skip
def test_numbers_that_do_not_fit_the_widths_are_a_problem(shapes, metadata, reason):
    assert reason in inspect(shapes, metadata).problem


def test_a_vae_whose_groups_do_not_fit_is_none(shapes):
    vae = {name.removeprefix(VAE): shape for name, shape in shapes.items() if name.startswith(VAE)}
    wrong = numbers(vae={"norm_num_groups": 32})
    assert "normalization groups" in inspect(vae, wrong).problem
    assert not inspect(shapes, wrong).detail["has_vae"]


def test_a_foreign_text_encoder_is_a_problem(shapes):
    foreign = without(shapes, TEXT) | {f"{TEXT}encoder.block.0.layer.0.SelfAttention.q.weight": (8, 8)}
    assert "text encoder is not that of" in inspect(foreign).problem


def with_input_channels(shapes, channels):
    first = f"{UNET}input_blocks.0.0.weight"
    return shapes | {first: (shapes[first][0], channels, 3, 3)}


def test_a_unet_with_other_inputs_is_a_problem(shapes):
    assert "has 7 input channels" in inspect(with_input_channels(shapes, 7)).problem


def test_a_depth_checkpoint_has_a_problem_that_tells_what_to_use(shapes):
    assert "use a depth ControlNet" in inspect(with_input_channels(shapes, 5)).problem


def test_a_unet_of_eight_channels_edits_by_instruction(shapes):
    found = inspect(with_input_channels(shapes, 8))
    assert (found.kind, found.problem, found.detail["instruct"]) == ("checkpoint", "", True)
    assert not inspect(shapes).detail["instruct"]


@pytest.mark.parametrize(
    "marker",
    [
        "scaled_fp8",
        f"{UNET}input_blocks.1.1.proj_in.scale_weight",
        f"{UNET}input_blocks.1.1.proj_in.weight_scale",
        f"{UNET}input_blocks.1.1.proj_in.comfy_quant",
        f"{UNET}input_blocks.1.1.proj_in.weight.quant_state.bitsandbytes__nf4",
    ],
)
def test_quantized_weights_are_a_problem(shapes, marker):
    assert "quantized" in inspect(shapes | {marker: (1,)}).problem


FLUX = {f"{UNET}double_blocks.0.img_attn.proj.weight": (8, 8)}


@pytest.mark.parametrize("prefix", ["", "first_stage_model.", "vae."])
def test_a_checkpoint_of_another_network_is_no_vae(shapes, prefix):
    vae = {f"{prefix}{name.removeprefix(VAE)}": s for name, s in shapes.items() if name.startswith(VAE)}
    assert (inspect(vae).kind, inspect(vae).problem) == ("vae", "")
    found = inspect(vae | FLUX)
    assert (found.kind, found.problem) == ("unknown", "it is a Flux model, which is not supported")


def test_a_vae_of_latents_that_no_family_has_is_a_problem(shapes):
    vae = {name.removeprefix(VAE): shape for name, shape in shapes.items() if name.startswith(VAE)}
    width = vae["decoder.conv_in.weight"][0]
    found = inspect(vae | {"decoder.conv_in.weight": (width, 12, 3, 3)})
    assert "latents have 12 channels" in found.problem
    assert "missing tensor" in inspect(without(vae, "quant_conv")).problem


def test_an_incomplete_controlnet_is_a_problem():
    shapes = {name: tuple(tensor.shape) for name, tensor in ldm_tensors(random_controlnet(seed=3)).items()}
    assert not inspect(shapes).problem
    assert "zero_convs.0.0" in inspect(without(shapes, "control_model.zero_convs.0.")).problem
    assert "union" in inspect(shapes | {"control_model.task_embedding": (6, 8)}).problem


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        ({}, "no tensors"),
        ({"a-token": (1, 64), "b-token": (1, 64)}, "match no supported kind of model (for example a-token"),
        (FLUX, "a Flux model"),
        ({f"{UNET}joint_blocks.0.x_block.attn.proj.weight": (8, 8)}, "Stable Diffusion 3"),
        ({"image_proj.proj.weight": (8, 8), "ip_adapter.1.to_k_ip.weight": (8, 8)}, "an IP-Adapter"),
        ({"text_model.encoder.layers.0.self_attn.q_proj.weight": (8, 8)}, "a text encoder alone"),
        ({"down_blocks.0.resnets.0.conv1.weight": (8, 8, 3, 3)}, "a UNet alone"),
        ({"blocks.0.cross_attn.norm_k.weight": (8,)}, "a Wan video model"),
        ({"vision_model.encoder.layers.0.mlp.fc1.weight": (8, 8)}, "a CLIP vision encoder"),
    ],
)
def test_an_unknown_file_has_a_reason(shapes, reason):
    found = inspect(shapes)
    assert found.kind == "unknown"
    assert reason in found.problem


@pytest.mark.parametrize(
    ("shapes", "vectors", "width"),
    [
        ({"my-token": (768,)}, 1, 768),
        ({"my-token": (3, 1024)}, 3, 1024),
        ({"<x>": (2, 64)}, 2, 64),
        ({"clip_l": (2, 768), "clip_g": (2, 1280)}, 2, 1280),
    ],
)
def test_an_embedding_is_known_by_its_shape(shapes, vectors, width):
    found = inspect(shapes)
    assert (found.kind, found.problem, dict(found.detail)) == (
        "embedding",
        "",
        {"vectors": vectors, "width": width},
    )


@pytest.mark.parametrize(
    "shapes",
    [
        {"clip_l": (2, 768), "clip_g": (3, 1280)},
        {"string_to_param.a": (2, 768), "string_to_param.b": (2, 768)},
        {"emb_params": (2, 3, 768)},
        {"emb_params": ()},
        {"weight": (3, 3)},
    ],
)
def test_an_embedding_that_cannot_be_read_is_none(shapes):
    found = inspect(shapes)
    assert (found.kind, bool(found.problem)) == ("unknown", True)


@pytest.mark.parametrize("shape", [(), (1,), (0, 0, 0, 0), (4,) * 7])
def test_malformed_shapes_are_a_problem_not_an_error(shapes, shape):
    for name in list(shapes)[:: len(shapes) // 40]:
        inspect(shapes | {name: shape})


LDM_CONTROL = {"input_hint_block.0.weight": (16, 3, 3, 3)}
CONTROL = {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)}
LLLITE = "lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"


@pytest.mark.parametrize(
    ("shapes", "kind", "reason"),
    [
        (
            {"body.0.block1.weight": (8, 8, 3, 3), "conv_in.weight": (8, 192, 3, 3)},
            "unknown",
            "a T2I-Adapter",
        ),
        ({"adapter.body.0.resnets.0.block1.weight": (8, 8, 3, 3)}, "unknown", "a T2I-Adapter"),
        (
            LDM_CONTROL | {"lora_controlnet": (1,), "input_blocks.1.0.up": (8, 4)},
            "controlnet",
            "a Control-LoRA",
        ),
        ({"lora_controlnet": (1,), "input_blocks.1.0.up": (8, 4)}, "unknown", "a Control-LoRA"),
        (
            {f"{LLLITE}.down.0.weight": (8, 8), f"{LLLITE}.up.0.weight": (8, 8)},
            "unknown",
            "a ControlNet-LLLite",
        ),
        (CONTROL | {"task_embedding": (8, 320)}, "controlnet", "a union ControlNet"),
        (CONTROL | {"down_blocks.0.motion_modules.0.norm.weight": (8,)}, "controlnet", "a SparseCtrl model"),
        ({"image_proj.latents": (1, 16, 8), "ip_adapter.1.to_k_ip.weight": (8, 8)}, "unknown", "InstantID"),
    ],
)
def test_another_kind_of_control_model_is_named(shapes, kind, reason):
    found = inspect(shapes)
    assert found.kind == kind
    assert reason in found.problem
