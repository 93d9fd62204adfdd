"""API exports of ten common ComfyUI workflows, written from the definitions of their nodes, for tests of their import."""

from __future__ import annotations

from typing import Any

from .comfyui_templates import FLUX

Graph = dict[str, Any]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs, "_meta": {"title": class_type}}


def sampler(model: str, positive: Any, negative: Any, latent: Any, **changes: Any) -> dict[str, Any]:
    values = {
        "seed": 5,
        "steps": 20,
        "cfg": 7.0,
        "sampler_name": "euler",
        "scheduler": "simple",
        "denoise": 1.0,
    }
    links = {"model": [model, 0], "positive": positive, "negative": negative, "latent_image": latent}
    return node("KSampler", **links, **values | changes)


def text(content: str, clip: list[Any]) -> dict[str, Any]:
    return node("CLIPTextEncode", text=content, clip=clip)


def end(samples: str, vae: list[Any]) -> Graph:
    return {
        "8": node("VAEDecode", samples=[samples, 0], vae=vae),
        "9": node("SaveImage", images=["8", 0], filename_prefix="ComfyUI"),
    }


def separate(unet: str, clip: str, vae: str, kind: str) -> Graph:
    return {
        "37": node("UNETLoader", unet_name=unet, weight_dtype="default"),
        "38": node("CLIPLoader", clip_name=clip, type=kind, device="default"),
        "39": node("VAELoader", vae_name=vae),
    }


SD15: Graph = {
    "4": node("CheckpointLoaderSimple", ckpt_name="shapes.safetensors"),
    "5": node("EmptyLatentImage", width=512, height=512, batch_size=1),
    "6": text("a red circle", ["4", 1]),
    "7": text("blurry", ["4", 1]),
    "3": sampler("4", ["6", 0], ["7", 0], ["5", 0]),
    **end("3", ["4", 2]),
}
SDXL_REFINER: Graph = {
    "4": node("CheckpointLoaderSimple", ckpt_name="sd_xl_base_1.0.safetensors"),
    "12": node("CheckpointLoaderSimple", ckpt_name="sd_xl_refiner_1.0.safetensors"),
    "5": node("EmptyLatentImage", width=1024, height=1024, batch_size=1),
    "6": text("a red circle", ["4", 1]),
    "7": text("blurry", ["4", 1]),
    "15": text("a red circle", ["12", 1]),
    "16": text("blurry", ["12", 1]),
    "10": node("KSamplerAdvanced", model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0], add_noise="enable", noise_seed=7, steps=25, cfg=8.0, sampler_name="euler", scheduler="normal", start_at_step=0, end_at_step=20, return_with_leftover_noise="enable"),
    "11": node("KSamplerAdvanced", model=["12", 0], positive=["15", 0], negative=["16", 0], latent_image=["10", 0], add_noise="disable", noise_seed=0, steps=25, cfg=8.0, sampler_name="euler", scheduler="normal", start_at_step=20, end_at_step=10000, return_with_leftover_noise="disable"),
    **end("11", ["12", 2]),
}  # fmt: skip
QWEN_IMAGE: Graph = {
    **separate("qwen_image_fp8_e4m3fn.safetensors", "qwen_2.5_vl_7b.safetensors", "qwen_image_vae.safetensors", "qwen_image"),
    "66": node("ModelSamplingAuraFlow", model=["37", 0], shift=3.1),
    "58": node("EmptySD3LatentImage", width=1328, height=1328, batch_size=1),
    "6": text("a red circle", ["38", 0]),
    "7": text("blurry", ["38", 0]),
    "3": sampler("66", ["6", 0], ["7", 0], ["58", 0], cfg=2.5),
    **end("3", ["39", 0]),
}  # fmt: skip
QWEN_EDIT: Graph = {
    **separate("qwen_image_edit_2509.safetensors", "qwen_2.5_vl_7b.safetensors", "qwen_image_vae.safetensors", "qwen_image"),
    "78": node("LoadImage", image="cat.png"),
    "93": node("ImageScaleToTotalPixels", image=["78", 0], upscale_method="lanczos", megapixels=1.0),
    "88": node("VAEEncode", pixels=["93", 0], vae=["39", 0]),
    "111": node("TextEncodeQwenImageEditPlus", clip=["38", 0], vae=["39", 0], image1=["93", 0], prompt="make it red"),
    "110": node("TextEncodeQwenImageEditPlus", clip=["38", 0], vae=["39", 0], image1=["93", 0], prompt=""),
    "3": sampler("37", ["111", 0], ["110", 0], ["88", 0], cfg=4.0),
    **end("3", ["39", 0]),
}  # fmt: skip
WAN_I2V: Graph = {
    **separate("wan2.1_i2v_480p_14B_fp16.safetensors", "umt5_xxl_fp8.safetensors", "wan_2.1_vae.safetensors", "wan"),
    "49": node("CLIPVisionLoader", clip_name="clip_vision_h.safetensors"),
    "52": node("LoadImage", image="start.png"),
    "51": node("CLIPVisionEncode", clip_vision=["49", 0], image=["52", 0], crop="none"),
    "6": text("a boat moves", ["38", 0]),
    "7": text("still", ["38", 0]),
    "50": node("WanImageToVideo", positive=["6", 0], negative=["7", 0], vae=["39", 0], clip_vision_output=["51", 0], start_image=["52", 0], width=512, height=512, length=33, batch_size=1),
    "54": node("ModelSamplingSD3", model=["37", 0], shift=8.0),
    "3": sampler("54", ["50", 0], ["50", 1], ["50", 2], cfg=6.0),
    "8": node("VAEDecode", samples=["3", 0], vae=["39", 0]),
    "28": node("SaveAnimatedWEBP", images=["8", 0], filename_prefix="ComfyUI", fps=16.0, lossless=False, quality=90, method="default"),
}  # fmt: skip
UPSCALE: Graph = {
    "1": node("LoadImage", image="small.png"),
    "2": node("UpscaleModelLoader", model_name="RealESRGAN_x4plus.safetensors"),
    "3": node("ImageUpscaleWithModel", upscale_model=["2", 0], image=["1", 0]),
    "9": node("SaveImage", images=["3", 0], filename_prefix="up"),
}
Z_IMAGE: Graph = {
    **separate("z_image_turbo_bf16.safetensors", "qwen_3_4b.safetensors", "ae.safetensors", "lumina2"),
    "13": node("EmptySD3LatentImage", width=1024, height=1024, batch_size=1),
    "27": text("a red circle", ["38", 0]),
    "33": node("ConditioningZeroOut", conditioning=["27", 0]),
    "3": sampler("37", ["27", 0], ["33", 0], ["13", 0], steps=9, cfg=1.0),
    **end("3", ["39", 0]),
}
INPAINT: Graph = {
    "4": node("CheckpointLoaderSimple", ckpt_name="inpaint.safetensors"),
    "20": node("LoadImage", image="room.png"),
    "21": node("LoadImageMask", image="mask.png", channel="red"),
    "26": node("VAEEncodeForInpaint", pixels=["20", 0], vae=["4", 2], mask=["21", 0], grow_mask_by=6),
    "6": text("a vase", ["4", 1]),
    "7": text("blurry", ["4", 1]),
    "3": sampler("4", ["6", 0], ["7", 0], ["26", 0]),
    **end("3", ["4", 2]),
}
SUBGRAPH_SIZE: Graph = {  # export of a subgraph: ids with colons, values in primitive nodes, image only previewed
    **separate("flux-2.safetensors", "mistral_3.safetensors", "flux2-vae.safetensors", "flux2"),
    "68:1": node("PrimitiveInt", value=768),
    "68:2": node("PrimitiveStringMultiline", value="a red circle"),
    "68:47": node("EmptyFlux2LatentImage", width=["68:1", 0], height=["68:1", 0], batch_size=1),
    "68:6": text(["68:2", 0], ["38", 0]),  # type: ignore[arg-type]
    "68:26": node("FluxGuidance", conditioning=["68:6", 0], guidance=4.0),
    "68:22": node("BasicGuider", model=["37", 0], conditioning=["68:26", 0]),
    "68:25": node("RandomNoise", noise_seed=1),
    "68:16": node("KSamplerSelect", sampler_name="euler"),
    "68:48": node("Flux2Scheduler", steps=20, width=["68:1", 0], height=["68:1", 0]),
    "68:13": node("SamplerCustomAdvanced", noise=["68:25", 0], guider=["68:22", 0], sampler=["68:16", 0], sigmas=["68:48", 0], latent_image=["68:47", 0]),
    "8": node("VAEDecode", samples=["68:13", 0], vae=["39", 0]),
    "70": node("PreviewImage", images=["8", 0]),
}  # fmt: skip
EXPORTS: dict[str, Graph] = {
    "flux": FLUX,
    "sd15": SD15,
    "sdxl_refiner": SDXL_REFINER,
    "qwen_image": QWEN_IMAGE,
    "qwen_edit": QWEN_EDIT,
    "wan_i2v": WAN_I2V,
    "upscale": UPSCALE,
    "z_image": Z_IMAGE,
    "inpaint": INPAINT,
    "flux2_subgraph": SUBGRAPH_SIZE,
}
