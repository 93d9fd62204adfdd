"""The two examples of the users' document, with placeholders for the image hosts."""

from typing import Any

NEGATIVE_PROMPT = (
    "wrinkles, watermark,male,masculinity,bad and mutated hands, oiliness, NSFW, worst quality, low quality, "
    "horror, geometry, white border, signature,red cloth background, hand, the background of folds, grayscale, "
    "monochrome, bad body, deformed,mutated hands,extra hands"
)
FIRST: dict[str, Any] = {
    "img_url": "http://HOST/202407/15/6694883826b1a866.png",
    "mask_url": "http://HOST/202407/15/66948855aeb9e8873.png",
    "prompt": (
        "light green theme, no humans, toilet, indoors, washing machine, solo, toilet paper, still life, "
        "green background, circular platform, best quality, 8k, masterpiece, best detail"
    ),
    "negative_prompt": NEGATIVE_PROMPT,
    "sd_model_checkpoint": "majicmixRealistic_v7.safetensors",
    "sd_lora_name": ["simple_bg_0811-006400.safetensors"],
    "sd_lora_weight": [0.8],
    "upload_img_config": {"channel": 1202, "type": "public"},
    "batch_size": 1,
    "api_type": "comfyui",
}
SECOND: dict[str, Any] = {
    "img_url": "http://HOST/202410/30/6721f62cd96ac9476.png",
    "mask_url": "http://HOST/202409/20/66ece4b7132c61948.png",
    "prompt": (
        "Beige theme, 3D scene, product photography, no people, laptop, solo, still life, solid color background, "
        "clean and simple background, bright colors, beige background, minimalist style, center circular platform, "
        "best quality, 8k, masterpiece, best details"
    ),
    "negative_prompt": NEGATIVE_PROMPT,
    "sd_model_checkpoint": "epicphotogasm_ultimateFidelity.safetensors",
    "sd_lora_name": ["simple_bg_0911-004000.safetensors"],
    "sd_lora_weight": [0.8],
    "upload_img_config": {"channel": 1202, "type": "public", "public_host": 1},
    "batch_size": 2,
    "steps": 25,
    "api_type": "comfyui",
    "is_controlnet": 1,
    "control_model": "control_v11p_sd15_lineart.pth",
}


def at(host: str, example: dict[str, Any]) -> dict[str, Any]:
    """An example with its images on ``host``."""
    urls = {name: example[name].replace("HOST", host) for name in ("img_url", "mask_url")}
    return example | urls
