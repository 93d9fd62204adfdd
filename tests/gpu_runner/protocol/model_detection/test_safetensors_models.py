"""Detection of model files by their tensors, and inference of module configs from shapes."""

import json
import struct

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from demo.architectures import demo_model as architecture
from gpu_runner.models.conversion.ldm_keys import (
    UNET_PREFIX,
    VAE_PREFIX,
    from_diffusers,
    unet_pairs,
    vae_pairs,
)
from gpu_runner.protocol.model_detection import config_inference
from gpu_runner.protocol.model_detection.safetensors_models import (
    identify,
    identify_file,
    read_safetensors_header,
)

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
UP_CROSS, UP_PLAIN = "CrossAttnUpBlock2D", "UpBlock2D"
SD15_UNET = {
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "down_block_types": [CROSS, CROSS, CROSS, PLAIN],
    "up_block_types": [UP_PLAIN, UP_CROSS, UP_CROSS, UP_CROSS],
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
SD2_UNET = SD15_UNET | {
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
}
SDXL_UNET = {
    "block_out_channels": [320, 640, 1280],
    "layers_per_block": 2,
    "down_block_types": [PLAIN, CROSS, CROSS],
    "up_block_types": [UP_CROSS, UP_CROSS, UP_PLAIN],
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "transformer_layers_per_block": [1, 2, 10],
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SD_VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "latent_channels": 4,
}
CLIP_L = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"
OPEN_CLIP = "cond_stage_model.model.token_embedding.weight"
TWO_CLIPS = "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight"


def unet_shapes(config):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
    tensors = from_diffusers(unet.state_dict(), UNET_PREFIX, unet_pairs(unet.config))
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def vae_shapes(config, prefix=VAE_PREFIX):
    with torch.device("meta"):
        vae = AutoencoderKL(**config)
    tensors = from_diffusers(vae.state_dict(), prefix, vae_pairs(vae.config))
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


STANDARDS = [("sd15", SD15_UNET, CLIP_L), ("sd2", SD2_UNET, OPEN_CLIP), ("sdxl", SDXL_UNET, TWO_CLIPS)]


@pytest.mark.parametrize(("family", "config", "text_encoder"), STANDARDS)
def test_a_standard_checkpoint_gives_its_family_and_config(family, config, text_encoder):
    shapes = unet_shapes(config)
    found = identify(shapes | {text_encoder: (49408, 768)})
    assert (found.kind, found.family) == ("checkpoint", family)
    assert identify(shapes).family == family, "a bare UNet is identified by the width of its cross-attention"
    inferred = config_inference.infer_unet(
        {name.removeprefix(UNET_PREFIX): shape for name, shape in shapes.items()}, family
    )
    assert {key: inferred[key] for key in config} == config


def test_an_inpainting_checkpoint_has_nine_input_channels():
    assert identify(unet_shapes(SD15_UNET | {"in_channels": 9})).detail["inpainting"]


def test_config_values_that_shapes_do_not_determine_come_from_the_metadata(tiny_checkpoint):
    root, file = tiny_checkpoint
    shapes, metadata = read_safetensors_header(root / file.path)
    assert identify(shapes, metadata).family == "sd15"
    inferred = config_inference.infer(shapes, "sd15", metadata)
    assert inferred.unet.items() >= architecture.UNET_CONFIG.items()
    vae = config_inference.infer_checkpoint_vae(shapes, "sd15", metadata)
    assert vae.items() >= architecture.VAE_CONFIG.items()
    assert inferred.text_encoders[0].config.items() >= architecture.TEXT_ENCODER_CONFIG.items()
    assert config_inference.infer(shapes, "sd15", {}).unet["norm_num_groups"] == 32


@pytest.mark.parametrize("value", ["{", "[]", '{"unet": 3}', '{"unet": {"act_fn": "gelu"}}'])
def test_invalid_config_overrides_are_rejected(value):
    with pytest.raises(ValueError, match=r"atelier\.config"):
        config_inference.read_overrides({"atelier.config": value})


def test_a_checkpoint_with_a_missing_part_is_rejected():
    with pytest.raises(ValueError, match="no VAE tensors"):
        config_inference.infer_checkpoint_vae(unet_shapes(SD15_UNET), "sd15", {})


def test_prediction_type_is_the_declared_one():
    shapes = unet_shapes(SD2_UNET)
    assert identify(shapes).detail["prediction_type"] is None
    assert identify(shapes, {"modelspec.prediction_type": "v"}).detail["prediction_type"] == "v_prediction"
    assert identify(shapes | {"v_pred": (1,)}).detail["prediction_type"] == "v_prediction"


KOHYA = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
DIFFUSERS = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2"
CLIP_LAYER = "text_encoder.text_model.encoder.layers.0.self_attn"
PROCESSOR = ("lora.down.weight", "lora.up.weight")


def factors(path, inputs, outputs, down="lora_down.weight", up="lora_up.weight", dot="."):
    return {f"{path}{dot}{down}": (8, inputs), f"{path}{dot}{up}": (outputs, 8)}


VAE_LDM = vae_shapes(SD_VAE, prefix="")
OTHER_KINDS = [
    ({f"{KOHYA}.lora_down.weight": (8, 768), f"{KOHYA}.lora_up.weight": (320, 8)}, "lora", "sd15"),
    (factors(f"{DIFFUSERS}.to_k", 1024, 320, "lora_A.weight", "lora_B.weight"), "lora", "sd2"),
    (factors(f"{DIFFUSERS}.processor.to_k", 2048, 640, *PROCESSOR, dot="_"), "lora", "sdxl"),
    (factors("lora_te1_text_model_encoder_layers_0_self_attn_q_proj", 768, 768), "lora", "sdxl"),
    (factors("lora_te_text_model_encoder_layers_0_mlp_fc1", 768, 3072), "lora", "sd15"),
    (
        factors(
            f"{CLIP_LAYER}.q_proj", 768, 768, "lora_linear_layer.down.weight", "lora_linear_layer.up.weight"
        ),
        "lora",
        "sd15",
    ),
    (factors(f"{CLIP_LAYER}.to_q", 768, 768, *PROCESSOR, dot="_"), "lora", "sd15"),
    (factors(f"lycoris_{KOHYA.removeprefix('lora_unet_')}", 768, 320), "lora", "sd15"),
    (factors("diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k", 768, 320), "lora", "sd15"),
    (
        factors(
            "base_model.model.mid_block.attentions.0.transformer_blocks.0.attn2.to_v",
            2048,
            1280,
            "lora_A.default.weight",
            "lora_B.default.weight",
        ),
        "lora",
        "sdxl",
    ),
    (factors("mid_block.attentions.0.transformer_blocks.0.attn2.to_v", 1024, 1280), "lora", "sd2"),
    (
        {
            f"{KOHYA}.hada_w{n}": s
            for n, s in {"1_a": (320, 4), "1_b": (4, 768), "2_a": (320, 4), "2_b": (4, 768)}.items()
        },
        "lora",
        "sd15",
    ),
    ({f"{KOHYA}.lokr_w1": (4, 4), f"{KOHYA}.lokr_w2": (80, 192)}, "lora", "sd15"),
    (
        {f"{KOHYA}.lokr_w1": (4, 4), f"{KOHYA}.lokr_w2_a": (80, 4), f"{KOHYA}.lokr_w2_b": (4, 192)},
        "lora",
        "sd15",
    ),
    ({f"{KOHYA}.diff": (320, 768)}, "lora", "sd15"),
    (
        {
            f"{KOHYA}.a1.weight": (4, 768),
            f"{KOHYA}.a2.weight": (768, 4),
            f"{KOHYA}.b1.weight": (4, 768),
            f"{KOHYA}.b2.weight": (320, 4),
        },
        "lora",
        "sd15",
    ),
    ({f"{KOHYA}.weight": (320,), f"{KOHYA}.on_input": ()}, "lora", "unknown"),
    ({f"{KOHYA}.oft_blocks": (4, 80, 80), f"{KOHYA}.alpha": ()}, "lora", "unknown"),
    ({f"{KOHYA}.oft_diag": (4, 80, 80)}, "lora", "unknown"),
    (
        {
            "lora_unet_mid_block_resnets_0_norm1.w_norm": (320,),
            "lora_unet_mid_block_resnets_0_norm1.b_norm": (320,),
        },
        "lora",
        "unknown",
    ),
    ({f"{KOHYA}.lora_down.weight": (8, 768)}, "unknown", "unknown"),
    (
        {f"control_model.{k}": v for k, v in {"input_hint_block.0.weight": (16, 3, 3, 3)}.items()},
        "controlnet",
        "unknown",
    ),
    (
        {
            "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
            "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight": (1280, 768),
        },
        "controlnet",
        "sd15",
    ),
    ({"emb_params": (4, 1024)}, "embedding", "sd2"),
    ({"string_to_param.*": (2, 768)}, "embedding", "sd15"),
    ({"<cat-toy>": (768,)}, "embedding", "sd15"),
    ({"clip_l": (3, 768), "clip_g": (3, 1280)}, "embedding", "sdxl"),
    (VAE_LDM, "vae", "unknown"),
    (
        {"model.0.weight": (64, 3, 3, 3), "model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3)},
        "upscaler",
        "unknown",
    ),
    (
        {
            "params_ema.conv_first.weight": (64, 3, 3, 3),
            "params_ema.body.0.rdb1.conv1.weight": (32, 64, 3, 3),
            "params_ema.conv_body.weight": (64, 64, 3, 3),
            "params_ema.conv_last.weight": (3, 64, 3, 3),
        },
        "upscaler",
        "unknown",
    ),
    ({"weight": (3, 3)}, "unknown", "unknown"),
    ({}, "unknown", "unknown"),
]


@pytest.mark.parametrize(("shapes", "kind", "family"), OTHER_KINDS)
def test_other_kinds_are_identified_by_their_tensors(shapes, kind, family):
    found = identify(shapes)
    assert (found.kind, found.family) == (kind, family)


def test_metadata_gives_the_family_of_a_lora_of_non_standard_width():
    assert identify(factors(KOHYA, 64, 64), {"ss_base_model_version": "sd_v1"}).family == "sd15"


FLUX = factors("lora_unet_double_blocks_0_img_attn_proj", 3072, 3072)
FLUX_TEXT = factors("lora_te1_text_model_encoder_layers_0_self_attn_q_proj", 768, 768)


@pytest.mark.parametrize(
    ("tensors", "family", "problem"),
    [
        (FLUX, "flux1", ""),
        (FLUX | FLUX_TEXT, "flux1", ""),
        (factors("lora_unet_single_blocks_0_linear1", 3072, 9216) | FLUX_TEXT, "flux1", ""),
        (factors("transformer_blocks.0.img_mod.1", 3072, 18432), "qwen_image", ""),
        (factors("transformer.transformer_blocks.0.attn.to_out.0", 1536, 1536), "sd3", ""),
        (factors("diffusion_model.joint_blocks.0.x_block.attn.proj", 1536, 1536), "sd3", ""),
        (factors("blocks.0.self_attn.q", 1536, 1536), "unknown", "not those of a Stable Diffusion UNet"),
    ],
)
def test_a_lora_of_another_network_has_its_family_or_a_problem_with_the_reason(tensors, family, problem):
    found = identify(tensors)
    assert (found.kind, found.family) == ("lora", family)
    assert problem in found.problem
    assert bool(found.problem) == bool(problem)


def test_a_lora_of_a_text_encoder_alone_may_belong_to_another_family():
    assert "flux" in identify(FLUX_TEXT, {"ss_base_model_version": "flux1"}).problem
    assert not identify(FLUX_TEXT, {"ss_base_model_version": "sdxl_base_v1-0"}).problem


def test_what_is_not_used_of_a_lora_is_listed():
    tensors = factors(KOHYA, 768, 320) | factors("lora_unet_down_blocks_0_motion_modules_0_proj_in", 8, 8)
    tensors |= {f"{KOHYA}.scalar": (), "bundle_emb.plum.string_to_param.*": (2, 768)}
    found = identify(tensors)
    assert (found.kind, found.problem, found.detail["bundled"]) == ("lora", "", ("plum",))
    assert set(found.detail["left_out"]) == {
        "lora_unet_down_blocks_0_motion_modules_0_proj_in",
        f"{KOHYA}.scalar",
    }


@pytest.mark.parametrize(("family", "config", "text_encoder"), STANDARDS)
def test_every_module_of_a_standard_unet_can_be_adapted(family, config, text_encoder):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
    names = {path for path, module in unet.named_modules() if getattr(module, "weight", None) is not None}
    for prefix, paths in (
        ("", names),
        ("lora_unet_", {name.replace(".", "_") for name in names}),
        ("diffusion_model.", {ldm for ldm, _diffusers in unet_pairs(unet.config)}),
    ):
        tensors = {f"{prefix}{path}.diff": (8, config["cross_attention_dim"]) for path in paths}
        found = identify(tensors)
        assert (found.kind, found.family, found.detail["left_out"]) == ("lora", family, ())


def test_modules_that_the_family_does_not_have_are_listed():
    sdxl = factors("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k", 2048, 640)
    absent = factors("lora_unet_down_blocks_0_attentions_0_proj_in", 320, 320)
    absent |= factors("lora_te1_text_model_encoder_layers_12_mlp_fc1", 768, 3072)
    present = factors("lora_te2_text_model_encoder_layers_31_mlp_fc1", 1280, 5120)
    present |= factors("lora_te1_text_model_encoder_layers_11_mlp_fc1", 768, 3072)
    found = identify(sdxl | absent | present)
    assert found.family == "sdxl"
    assert set(found.detail["left_out"]) == {name.partition(".")[0] for name in absent}


def test_a_vae_gives_its_config():
    inferred = config_inference.infer_vae(VAE_LDM, "sd15")
    assert {key: inferred[key] for key in SD_VAE} == SD_VAE


def header(entries, data=b"", length=None):
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


ENTRY = {"dtype": "F16", "shape": [2, 2], "data_offsets": [0, 8]}
BROKEN = {
    "empty": b"",
    "short": b"123",
    "longer header than file": header({}, length=2**60),
    "not json": header(b"{nope"),
    "deep json": header(b"[" * 200_000),
    "not an object": header([1]),
    "cut short": header({"a": ENTRY}, data=b"1234567"),
    "negative size": header({"a": ENTRY | {"shape": [-2, -2]}}, data=b"12345678"),
    "huge size": header({"a": ENTRY | {"shape": [2**62, 2**62]}}, data=b"12345678"),
    "unknown type": header({"a": ENTRY | {"dtype": "F3"}}, data=b"12345678"),
    "no shape": header({"a": 3}),
    "bad metadata": header({"__metadata__": {"a": 1}}),
    "not a number": header(b'{"a": NaN}'),
    "tensors that overlap": header({"a": ENTRY, "b": ENTRY}, data=b"12345678"),
    "a hole between tensors": header({"a": ENTRY, "b": ENTRY | {"data_offsets": [12, 20]}}, data=b"1" * 20),
    "more bytes than tensors": header({"a": ENTRY}, data=b"1" * 20),
    "too many tensors": header(
        {f"{i}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(100_001)}
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_invalid_file_raises_value_error(tmp_path, name):
    file = tmp_path / "broken.safetensors"
    file.write_bytes(BROKEN[name])
    with pytest.raises(ValueError, match=r"safetensors|tensor|metadata"):
        identify_file(file)
