"""Files that are no models of a supported kind: what the names of their tensors tell. No torch."""

from __future__ import annotations

import re

MAX_NAME = 80  # of a tensor, in a reason

# Weights that are not numbers by themselves, in files whose storage is not decoded, such as pickles.
QUANTIZED = re.compile(
    r"(^|\.)scaled_fp8$|\.scale_(weight|input)$|\.(weight|input)_scale$|\.comfy_quant$|\.absmax$|\.quant_map$"
    r"|\.quant_state|\.qweight$|\.weight_packed$"
)
# The same for files that A1111 loads as ControlNets.
CONTROL_KINDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^lora_controlnet$"), "a Control-LoRA"),
    (re.compile(r"^(adapter\.)?body\.\d+\.(in_conv|block1|resnets)\."), "a T2I-Adapter"),
    (re.compile(r"^lllite_"), "a ControlNet-LLLite"),
    (re.compile(r"(^|\.)task_embedding$"), "a union ControlNet"),
    (re.compile(r"(^|\.)motion_modules?\."), "a SparseCtrl model"),
    (re.compile(r"(^|\.)image_proj\.(latents|layers\.)"), "an IP-Adapter Plus or InstantID model"),
    (re.compile(r"(^|\.)(image_proj|ip_adapter)\."), "an IP-Adapter"),
)
# Names that tell what an unsupported file is.
OTHER_KINDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^redux_(up|down)\."), "a FLUX.1 Redux adapter"),
    (re.compile(r"(^|\.)nerf_(blocks|image_embedder)\b"), "a Chroma Radiance model"),
    (re.compile(r"txt_in\.individual_token_refiner\."), "a HunyuanVideo or HunyuanImage model"),
    (re.compile(r"(^|\.)blocks\.0\.cross_attn\.norm_k\."), "a Wan video model"),
    (re.compile(r"(^|\.)patchify_proj\."), "an LTX-Video model"),
    (re.compile(r"(^|\.)double_stream_blocks\.0\."), "a HiDream model"),
    (re.compile(r"(^|\.)double_layers\.0\.attn\.w1q\."), "an AuraFlow model"),
    (re.compile(r"(^|\.)cap_embedder\.0\."), "a Lumina 2 model"),
    (re.compile(r"\.inverted_conv\."), "a SANA model"),
    (re.compile(r"(^|\.)adaln_single\.|(^|\.)y_embedder\.y_proj\."), "a PixArt model"),
    (re.compile(r"(^|\.)clip_txt_mapper\."), "a Stable Cascade model"),
    (re.compile(r"double_blocks\.\d|single_blocks\.\d|single_transformer_blocks\.\d"), "a Flux model"),
    (re.compile(r"joint_blocks\.\d"), "a Stable Diffusion 3 model"),
    *((pattern, text) for pattern, text in CONTROL_KINDS if "SparseCtrl" not in text),
    (re.compile(r"(^|\.)vision_model\."), "a CLIP vision encoder"),
    (re.compile(r"^(text_model\.)?encoder\.layers\.\d+\.self_attn\."), "a text encoder alone"),
    (re.compile(r"^(down_blocks|up_blocks)\.\d+\.resnets\."), "a UNet alone, in the layout of diffusers"),
    (re.compile(r"motion_modules?\."), "a motion module"),
    (re.compile(r"^(320|640|768|1280)\.\d\.linear\."), "a hypernetwork"),
    (
        re.compile(
            r"\b(ia3_l|vera_lambda|oft_[rR]|boft_[RrSs]|lora_embedding|lora_E\b|fourierft_spectrum|hra_u)"
        ),
        "an adapter of PEFT that is none of LoRA, LoHa, LoKr and DoRA",
    ),
    (re.compile(r"(^|\.)(transformer_)?blocks\.\d"), "a diffusion transformer"),
)
