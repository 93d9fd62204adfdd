"""Text encoders and VAEs in files of their own, at the sizes of the released ones (on the meta device)."""

from functools import cache

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderKLFlux2, AutoencoderKLQwenImage
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3Config,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

from demo.flow_matching.original_layout import original_layout
from gpu_runner.models.conversion.ldm_keys import from_diffusers, vae_pairs
from gpu_runner.protocol.families.registry import DRAWN
from gpu_runner.protocol.model_detection.parts.text_encoders import find_text_encoders
from gpu_runner.protocol.model_detection.safetensors_models import identify
from gpu_runner.protocol.model_detection.usability import inspect
from tests.support.transformer_files import released, tiny

GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
LARGE_T5 = {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64, **GATED}
QWEN3 = {
    "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128,
}  # fmt: skip
SIXTEEN = {
    "latent_channels": 16, "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
    "use_quant_conv": False, "use_post_quant_conv": False,
}  # fmt: skip
CLIP_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}
CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}


def of_qwen2_5_vl():
    text = {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
    }
    config = Qwen2_5_VLConfig(text_config={**text, "num_key_value_heads": 4, "vocab_size": 152064})
    return Qwen2_5_VLForConditionalGeneration(config)


MODELS = {
    "clip_l": lambda: CLIPTextModel(CLIPTextConfig(**CLIP_L)),
    "clip_g": lambda: CLIPTextModelWithProjection(CLIPTextConfig(**CLIP_G, projection_dim=1280)),
    "t5_xxl": lambda: T5EncoderModel(T5Config(vocab_size=32128, **LARGE_T5)),
    "umt5": lambda: UMT5EncoderModel(UMT5Config(vocab_size=256384, **LARGE_T5)),
    "qwen3_4b": lambda: Qwen3Model(Qwen3Config(**QWEN3, vocab_size=151936)),
    "qwen2_5_vl_7b": of_qwen2_5_vl,
    "sixteen channels": lambda: AutoencoderKL(**SIXTEEN),
    "FLUX.2": AutoencoderKLFlux2,
    "Qwen-Image": AutoencoderKLQwenImage,
}
WIDTHS = {
    "clip_l": 768,
    "clip_g": 1280,
    "t5_xxl": 4096,
    "umt5": 4096,
    "qwen3_4b": 2560,
    "qwen2_5_vl_7b": 3584,
}


@cache
def shapes_of(name):
    with torch.device("meta"):
        model = MODELS[name]()
    return {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}


def below(prefix, shapes):
    return {f"{prefix}{name}": shape for name, shape in shapes.items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", WIDTHS)
@pytest.mark.parametrize("prefix", ["", "text_encoders.some.transformer."])
def test_text_encoders_are_told_apart(kind, prefix):
    shapes = below(prefix, shapes_of(kind))
    found = identify(shapes)
    assert (found.kind, found.detail["encoder"], found.detail["width"]) == (
        "text_encoder",
        kind,
        WIDTHS[kind],
    )
    assert [encoder.missing(shapes) for encoder in find_text_encoders(shapes)] == [""]


def test_a_text_encoder_with_a_missing_layer_has_a_problem():
    shapes = {name: shape for name, shape in shapes_of("clip_l").items() if "layers.5.mlp.fc1" not in name}
    assert "layers.5.mlp.fc1.bias" in inspect(shapes).problem
    assert inspect(shapes_of("clip_l")).problem == ""


def test_a_text_encoder_that_no_drawn_family_reads_is_named():
    layer = {"model.layers.0.self_attn.q_proj.weight": (64, 64), "model.embed_tokens.weight": (8, 64)}
    assert "a Llama or Mistral" in inspect(layer).problem
    gemma = layer | {"model.layers.0.pre_feedforward_layernorm.weight": (64,)}
    assert "a Gemma" in inspect(gemma).problem


@pytest.mark.parametrize(
    ("name", "families", "channels"),
    [
        ("sixteen channels", ("sd3", "flux1", "chroma", "z_image"), 16),
        ("FLUX.2", ("flux2",), 32),
        ("Qwen-Image", ("qwen_image",), 16),
    ],
)
@pytest.mark.parametrize("prefix", ["", "vae.", "first_stage_model."])
def test_vaes_are_told_apart_by_their_latents(name, families, channels, prefix):
    found = identify(below(prefix, shapes_of(name)))
    assert (found.kind, found.detail["families"], found.detail["latent_channels"]) == (
        "vae",
        families,
        channels,
    )


def test_vae_of_qwen_image_is_recognized_in_the_names_of_wan_too():
    wan = {
        "encoder.conv1.weight": (96, 3, 3, 3, 3),
        "decoder.conv1.weight": (384, 16, 3, 3, 3),
        "decoder.middle.0.residual.0.gamma": (384, 1, 1, 1),
    }
    assert identify(wan).detail["families"] == ("qwen_image",)
    of_wan_2_2 = wan | {"decoder.conv1.weight": (1024, 48, 3, 3, 3)}
    assert "48 channels" in inspect(of_wan_2_2).problem


@pytest.mark.parametrize(
    ("name", "missing"),
    [("FLUX.2", "decoder.conv_out.weight"), ("Qwen-Image", "decoder.up_blocks.1.resnets.2.conv1.weight")],
)
def test_vaes_of_newer_families_are_complete_at_full_size(name, missing):
    shapes = shapes_of(name)
    assert inspect(shapes).problem == ""
    assert (
        inspect({key: shape for key, shape in shapes.items() if key != missing}).problem
        == f"missing tensor {missing}"
    )


def test_vae_of_sixteen_channels_is_complete_in_the_layout_of_its_authors():
    with torch.device("meta"):
        vae = AutoencoderKL(**SIXTEEN)
    file = from_diffusers(vae.state_dict(), "", vae_pairs(vae.config))
    shapes = {name: tuple(tensor.shape) for name, tensor in file.items()}
    assert not any("quant_conv" in name for name in shapes)
    assert inspect(shapes).problem == ""
    del shapes["decoder.up.3.upsample.conv.weight"]
    assert inspect(shapes).problem == "missing tensor decoder.up.3.upsample.conv.weight"


@pytest.mark.parametrize("family", ["sd3", "z_image", "flux1", "chroma", "flux2", "qwen_image"])
def test_transformers_are_offered_only_if_their_family_is_drawn(family):
    state = tiny(family).state_dict()
    tensors = original_layout(family, state, "model.diffusion_model.")
    found = inspect({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    assert (found.kind, found.family, found.detail["has_vae"]) == ("checkpoint", family, False)
    assert (found.problem == "") == (family in DRAWN)
    assert family in DRAWN or "not drawn here yet" in found.problem


def test_all_in_one_file_names_its_parts():
    transformer = original_layout("sd3", tiny("sd3").state_dict(), "model.diffusion_model.")
    shapes = {name: tuple(tensor.shape) for name, tensor in transformer.items()}
    shapes |= below("first_stage_model.", shapes_of("sixteen channels"))
    shapes |= below("text_encoders.clip_l.transformer.", shapes_of("clip_l"))
    found = inspect(shapes)
    assert (found.family, found.detail["has_vae"], found.detail["text_encoders"]) == (
        "sd3",
        True,
        ("clip_l",),
    )
    assert found.problem == ""


def test_an_incomplete_transformer_has_a_problem():
    tensors = original_layout("sd3", tiny("sd3").state_dict())
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    name = "joint_blocks.1.x_block.mlp.fc2.weight"
    assert (
        inspect({key: shape for key, shape in shapes.items() if key != name}).problem
        == f"missing tensor {name}"
    )
    assert "another architecture (extra.weight)" in inspect(shapes | {"extra.weight": (8, 8)}).problem
    gap = {key: shape for key, shape in shapes.items() if "joint_blocks.1." not in key}
    assert "not numbered from 0 without gaps" in inspect(gap).problem


@pytest.mark.parametrize("shape", [(), (3,), (7, 32)])
def test_malformed_shapes_are_a_problem_and_no_crash(shape):
    shapes = {
        name: tuple(tensor.shape) for name, tensor in original_layout("sd3", tiny("sd3").state_dict()).items()
    }
    for name in (
        "joint_blocks.0.x_block.attn.qkv.weight",
        "pos_embed",
        "context_embedder.weight",
        "x_embedder.proj.weight",
    ):
        assert inspect(shapes | {name: shape}).kind == "checkpoint"


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("FLUX.1 schnell", "schnell"),
        ("FLUX.1 dev", "dev"),
        ("FLUX.1 Fill", "fill"),
        ("FLUX.2 klein 4B", "klein"),
        ("FLUX.2 dev", "dev"),
    ],
)
@pytest.mark.slow
def test_variants_are_told_apart_as_far_as_shapes_tell(name, variant):
    _family, state = released(name)
    assert identify({key: tuple(tensor.shape) for key, tensor in state.items()}).detail["variant"] == variant
