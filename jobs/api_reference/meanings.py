"""What fields of requests mean, by the names that several APIs use for them."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from .option_meanings import OPTIONS

PROMPT = _("What the image shows.")
NEGATIVE = _("What the image is not to show.")
STEPS = _("Number of sampling steps.")
GUIDANCE = _("How strictly the image follows the prompt (CFG scale).")
SIZE = _("Size of the image in pixels.")
SEED = _(
    "Start of the random numbers: the same request with the same seed returns the same image. -1: random."
)
STRENGTH = _("How much an input image is changed, from 0 to 1.")
COUNT = _("Number of images.")
CHECKPOINT = _("Checkpoint, by one of the names on the page of models.")
LORAS = _("LoRAs by name, each with its weight.")
SAMPLER = _("Sampler.")
SCHEDULER = _("Noise schedule of the sampler.")
IMAGE = _("Input image.")
MASK = _("Mask of inpainting: white is generated anew.")
CALLBACK = _("URL to which the result is sent when the job has ended.")
CLIP_SKIP = _("How many of the last layers of the text encoder are skipped, counted from 1.")
VAE = _("VAE, by name.")
TILING = _("Make an image that can be tiled.")
FORMAT = _("File format of the images.")
HIRES = _("Second pass at a higher resolution (hires fix).")
FACES = _("Restore faces.")
CONTROL = _("ControlNet units.")
ID = _("Id that the client chooses for the task.")
SUBSEED = _("Second seed, and how much of its noise is mixed in.")
RESIZE = _("How an input image of another size is fitted.")
INPAINT = _("How the masked part is filled and blended.")
SIGMAS = _("Parameter of samplers that add noise.")
STYLES = _("Prompt styles of the registry.")
MARK = _("Visible text on the image.")

REFERENCES = _("Reference images that a model looks at, for workflow templates that take them.")

MEANINGS: dict[str, Promise] = {
    **OPTIONS,
    **dict.fromkeys(("prompt", "positive_prompt", "custom_prompt", "text"), PROMPT),
    **dict.fromkeys(("negative_prompt", "negativePrompt", "u_prompt"), NEGATIVE),
    **dict.fromkeys(("steps", "num_inference_steps", "ddim_steps"), STEPS),
    **dict.fromkeys(("cfg_scale", "guidance_scale", "promptGuidanceFactor"), GUIDANCE),
    **dict.fromkeys(("width", "height", "size", "long_resolution"), SIZE),
    "seed": SEED,
    **dict.fromkeys(("strength", "denoising_strength", "deNoisingStrength"), STRENGTH),
    **dict.fromkeys(("n", "samples", "num_images", "n_iter", "batch_size"), COUNT),
    **dict.fromkeys(("iterationCount", "singleBatchImageCount", "max_images"), COUNT),
    **dict.fromkeys(("model", "checkpoint", "model_id", "sd_model_checkpoint", "baseModelCode"), CHECKPOINT),
    **dict.fromkeys(("loras", "lora_model", "lora_strength", "sd_lora_name", "sd_lora_weight"), LORAS),
    **dict.fromkeys(("lora_multipers", "lora_map"), LORAS),
    **dict.fromkeys(("sampler", "sampler_name", "sampler_index", "samplerName", "samplerIndex"), SAMPLER),
    "scheduler": SCHEDULER,
    **dict.fromkeys(("init_images", "init_image", "image", "image_link", "img_url", "sourceImageUrl"), IMAGE),
    "images": REFERENCES,
    **dict.fromkeys(("image_urls", "binary_data_base64", "url"), IMAGE),
    **dict.fromkeys(("mask", "mask_image", "mask_link", "mask_url"), MASK),
    **dict.fromkeys(("callback_url", "callbackUrl", "webhook"), CALLBACK),
    **dict.fromkeys(("clip_skip", "CLIP_stop_at_last_layers"), CLIP_SKIP),
    **dict.fromkeys(("vae", "sd_vae", "vaeName"), VAE),
    **dict.fromkeys(("tiling", "tilling", "panorama"), TILING),
    **dict.fromkeys(("output_format", "output_image_format", "targetImageFormat"), FORMAT),
    **dict.fromkeys(("enable_hr", "enableHighDefinitionRepair", "highres_fix", "hires"), HIRES),
    **dict.fromkeys(("restore_faces", "restoreFaces", "face_enhance", "face_restoration"), FACES),
    **dict.fromkeys(
        ("controls", "controlnet", "controlnet_model", "controlnet_type", "control_image"), CONTROL
    ),
    **dict.fromkeys(("external_id", "id_task", "businessTaskId", "track_id", "taskid"), ID),
    **dict.fromkeys(("subseed", "subseed_strength", "subSeed", "subSeedStrength"), SUBSEED),
    **dict.fromkeys(("resize_mode", "resizeMode"), RESIZE),
    **dict.fromkeys(("inpainting_fill", "inpaint_full_res", "inpaint_full_res_padding"), INPAINT),
    **dict.fromkeys(("inpainting_mask_invert", "mask_blur", "inpaint"), INPAINT),
    **dict.fromkeys(("eta", "s_churn", "s_tmin", "s_tmax", "s_noise", "s_min_uncond"), SIGMAS),
    "styles": STYLES,
    **dict.fromkeys(("watermark", "logo_info"), MARK),
    "aigc_meta": _("Data of the implicit label of generated images."),
    "labels": _("Labels of generated images."),
    "refiner": _("Second checkpoint that continues the sampling."),
    "refiner_checkpoint": _("Second checkpoint that continues the sampling."),
    "response_format": _("Whether the response has URLs or the images themselves."),
    "return_url": _("Whether the response has URLs or the images themselves."),
    "stream": _("Send the response as server-sent events."),
    "async": _("Respond at once; the result is queried later."),
    "quality": _("Factor of the number of steps."),
    "background": _("Remove the background of the images."),
    "override_settings": _("Settings of A1111 for this request, such as sd_model_checkpoint."),
    "alwayson_scripts": _("Arguments of extensions: controlnet, ADetailer."),
    "req_key": _("Style preset, by its key."),
    "sub_req_key": _("Variant of the style preset."),
    "from": _("Name of the business source."),
    "safety_checker": _("Check the images for NSFW content."),
    "nsfw": _("Check the images for NSFW content."),
    "enhance_prompt": _("Add details to the prompt."),
    "prompt_mode": _("What the text model does with the prompts."),
    "lane": _("Priority: interactive, async or bulk."),
    "task": _("Kind of the request, such as txt2img or img2img."),
    "is_remove_bg": _("Find the product by a matting model; otherwise by the transparency of the image."),
    "upload_img_config": _("Storage target that the images are copied to."),
    "upscale": _("Enlarge the result."),
    "script_name": _("Script of A1111, such as SD upscale."),
    "image_guidance_scale": _("Guidance by the input image, of InstructPix2Pix checkpoints."),
    "image_cfg_scale": _("Guidance by the input image, of InstructPix2Pix checkpoints."),
}


def meaning_of(path: str) -> str | Promise:
    """Meaning of a field by the last name of its path; empty if it is not known."""
    return MEANINGS.get(path.rpartition(".")[2].removesuffix("[]"), "")
