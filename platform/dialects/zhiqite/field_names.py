"""Field of the GenerationRequest -> field of the vendor's body, for error messages."""

from __future__ import annotations

from collections.abc import Mapping

Names = Mapping[str, str]

V2: Names = {
    "num_inference_steps": "steps",
    "image_guidance_scale": "image_cfg_scale",
    "num_images": "n_iter * batch_size",
    "hires.num_inference_steps": "hr_second_pass_steps",
    "hires.width": "hr_resize_x",
    "hires.height": "hr_resize_y",
    "callback": "callbackUrl",
}
V3: Names = {
    "num_inference_steps": "steps",
    "num_images": "iterationCount * singleBatchImageCount",
    "hires.num_inference_steps": "highDefinitionRepairPostSteps",
    "hires.width": "width * highDefinitionRepairScale",
    "hires.height": "height * highDefinitionRepairScale",
    "callback": "callbackUrl",
}
WORKFLOW: Names = {
    "num_inference_steps": "steps",
    "guidance_scale": "fluxGuidance",
    "callback": "callbackUrl",
}
VIDEO: Names = {
    "num_inference_steps": "steps",
    "guidance_scale": "cfgScale",
    "negative_prompt": "negativePrompt",
    "video.frames": "frames",
    "video.fps": "fps",
    "init_images": "sourceImage",
    "callback": "callbackUrl",
}
TOOLS: Names = {
    "num_inference_steps": "sampleStep",
    "num_images": "imageCount",
    "output_width": "horizontalExpansionRatio",
    "output_height": "verticalExpansionRatio",
    "callback": "callbackUrl",
}
